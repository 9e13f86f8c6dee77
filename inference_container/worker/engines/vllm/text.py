"""An answer's tokens as text: whole characters, each chunk with the ids that made it."""

from collections.abc import Sequence
from typing import Any

from worker.engines.protocol import EngineError, FinishReason, TokenChunk


class TokenText:
    """Cuts an answer into chunks.

    A token that completes no character goes out with the one that does, so that the ids of a chunk
    are exactly those of its text. Ids of an earlier attempt are read first: text depends on what
    stands before it.

    Parameters
    ----------
    tokenizer
        A `tokenizers.Tokenizer`.
    generated_token_ids
        What an earlier attempt made; its text is not given again.
    """

    def __init__(self, tokenizer: Any, *, generated_token_ids: Sequence[int] = ()) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._held: list[int] = []
        for token_id in generated_token_ids:
            self._stream.step(tokenizer, token_id)

    def take(self, token_ids: Sequence[int], reason: FinishReason | None) -> TokenChunk | None:
        """Return the next chunk, or None as long as there is nothing to show.

        A character that the end of the answer cuts is dropped.
        """
        text, whole = "", 0
        self._held += token_ids
        for number, token_id in enumerate(token_ids, start=len(self._held) - len(token_ids) + 1):
            piece = self._stream.step(self._tokenizer, token_id)
            if piece:
                text, whole = text + piece, number
        if reason is not None:
            whole = len(self._held)
        if not text and reason is None:
            return None
        ids, self._held = tuple(self._held[:whole]), self._held[whole:]
        return TokenChunk(text, ids, reason)


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
