"""Text as token ids, for upstreams that tell no ids of their own.

An id is a 1 and then the bytes of a piece of text in UTF-8, read as one number: the log keeps
numbers, and an answer can be continued only by showing the model the text so far. One streamed
piece is one id, which is one token with the servers that send each token as it is made.
"""

from collections.abc import Iterable

from worker.engines.protocol import EngineError

_PIECE = 256
"""Characters of one id at most: numbers of some thousand digits cannot be read back."""


def ids_of(text: str) -> tuple[int, ...]:
    """Return a streamed text's ids: one, unless it is very long."""
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return tuple(int.from_bytes(b"\x01" + piece.encode()) for piece in pieces)


def text_of(token_ids: Iterable[int]) -> str:
    """Return the text that these ids stand for; ``EngineError`` for ids of another engine."""
    data = [token_id.to_bytes((token_id.bit_length() + 7) // 8) for token_id in token_ids]
    if not all(piece.startswith(b"\x01") and len(piece) > 1 for piece in data):
        raise EngineError("The answer was begun by another engine and cannot be continued here.")
    return b"".join([piece[1:] for piece in data]).decode()
