"""Usage of an answer, with the part of its prompt that vLLM had in its prefix cache."""

from dataclasses import replace

from axon.protocol.objects import Usage
from worker.engines.protocol import GenerateRequest, TokenChunk


class UsageCount:
    """Counts the tokens of an answer, to put its usage into the last chunk.

    Parameters
    ----------
    request : GenerateRequest
        Its prompt is the input. Tokens that earlier attempts generated count as output, although
        vLLM reads them with the prompt.
    """

    def __init__(self, request: GenerateRequest) -> None:
        self._input = len(request.prompt.token_ids)
        self._output = len(request.generated_token_ids)
        self._counted = False

    def counted(self, chunk: TokenChunk, *, cached: int | None) -> TokenChunk:
        """Count a chunk; return it, the first one with the cached tokens, the last with the usage.

        Parameters
        ----------
        chunk : TokenChunk
            The next chunk of the answer.
        cached : int | None
            ``RequestOutput.num_cached_tokens``: tokens at the beginning of what vLLM was given, of
            which it had the keys and values. None if it does not know.
        """
        self._output += len(chunk.token_ids)
        read = min(max(cached or 0, 0), self._input)
        if not self._counted:
            self._counted = True
            chunk = replace(chunk, cached_tokens=read)
        if chunk.finish_reason is None:
            return chunk
        usage = Usage(input_tokens=self._input, output_tokens=self._output, cached_tokens=read)
        return replace(chunk, usage=usage)
