"""Chunks of an answer from the tokens of the OpenVINO pipeline."""

from collections.abc import Collection, Sequence

from typing_extensions import override

from worker.engines.detokenizer import Detokenizer
from worker.engines.protocol import FinishReason, TokenChunk
from worker.engines.text_chunker import TextChunker


class OpenVinoAnswer(TextChunker):
    """A `TextChunker` for a byte-level vocabulary; drops the token that ends the answer.

    Parameters
    ----------
    vocabulary : Sequence[bytes]
        The bytes of each token by id.
    stop_token_ids : Collection[int]
        Tokens that end an answer.
    generated_token_ids : Sequence[int]
        Tokens of earlier attempts, whose text is not given out again.
    stop : Sequence[str]
        The answer ends before the first of these strings.
    """

    def __init__(
        self,
        *,
        vocabulary: Sequence[bytes],
        stop_token_ids: Collection[int],
        generated_token_ids: Sequence[int] = (),
        stop: Sequence[str] = (),
    ) -> None:
        decoder = Detokenizer(vocabulary)
        super().__init__(
            lambda token_id: decoder.feed((token_id,)),
            stop=stop,
            generated_token_ids=generated_token_ids,
        )
        self._stop_token_ids = stop_token_ids

    @override
    def take(self, token_ids: Sequence[int], reason: FinishReason | None) -> TokenChunk | None:
        if reason == "stop" and token_ids and token_ids[-1] in self._stop_token_ids:
            token_ids = token_ids[:-1]
        return super().take(token_ids, reason)
