"""vLLM's tokens as text."""

from collections.abc import Callable, Sequence
from typing import Any

from worker.engines.protocol import EngineError


def decoder(tokenizer: Any) -> Callable[[int], str]:
    """Return what tells the characters that one more token completes.

    Parameters
    ----------
    tokenizer
        A `tokenizers.Tokenizer`.
    """
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=True)
    return lambda token_id: stream.step(tokenizer, token_id) or ""


class Repeated:
    """Leaves out the beginning of an answer that is generated anew.

    Parameters
    ----------
    token_ids
        The beginning.
    """

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._left = list(token_ids)

    def skip(self, token_ids: Sequence[int]) -> Sequence[int]:
        """Return what of these is new; ``EngineError`` if the beginning is another now."""
        count = min(len(self._left), len(token_ids))
        if list(token_ids[:count]) != self._left[:count]:
            raise EngineError("The answer's beginning cannot be generated again.")
        del self._left[:count]
        return token_ids[count:]
