"""Detokenizing of vLLM's tokens, and skipping of those that are generated again."""

from collections.abc import Callable, Sequence
from typing import Any

from worker.engines.protocol import EngineError


def token_decoder(tokenizer: Any, *, special_tokens: bool = False) -> Callable[[int], str]:
    """Return a function that returns the characters that one more token completes.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        The model's tokenizer.
    special_tokens : bool
        Special tokens are in the text.
    """
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=not special_tokens)
    return lambda token_id: stream.step(tokenizer, token_id) or ""


class RegeneratedPrefix:
    """Skips the beginning of an answer that is generated again.

    Parameters
    ----------
    token_ids : Sequence[int]
        The beginning, which an earlier attempt generated and logged.
    """

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._left = list(token_ids)

    def skip(self, token_ids: Sequence[int]) -> Sequence[int]:
        """Return those of the next tokens that are new.

        Raises
        ------
        EngineError
            The beginning differs this time: a sampled answer cannot be continued this way.
        """
        count = min(len(self._left), len(token_ids))
        if list(token_ids[:count]) != self._left[:count]:
            raise EngineError("The answer's beginning cannot be generated again.")
        del self._left[:count]
        return token_ids[count:]
