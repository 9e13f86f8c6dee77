"""Text as token ids, for upstreams that return no ids.

The event log keeps numbers, and an answer can only be continued by showing the model the text so
far. So an id is the text itself: a byte 1, then the bytes of a piece of text in UTF-8, read as one
big-endian number. One streamed piece is one id, which is one token with servers that send each
token as it is generated.
"""

from collections.abc import Iterable

from worker.engines.protocol import EngineError

_MAX_CHARACTERS = 256
"""Characters of one id: numbers of some thousand digits cannot be read back (Python's
`sys.set_int_max_str_digits`, 4300)."""


def ids_of(text: str) -> tuple[int, ...]:
    """Return the ids of a streamed text: one, unless it is very long."""
    pieces = (text[i : i + _MAX_CHARACTERS] for i in range(0, len(text), _MAX_CHARACTERS))
    # The leading 1 keeps zero bytes at the beginning.
    return tuple(int.from_bytes(b"\x01" + piece.encode()) for piece in pieces)


def text_of(token_ids: Iterable[int]) -> str:
    """Return the text that these ids stand for.

    Raises
    ------
    EngineError
        They are ids of another engine.
    """
    data = [token_id.to_bytes((token_id.bit_length() + 7) // 8) for token_id in token_ids]
    if not all(piece.startswith(b"\x01") and len(piece) > 1 for piece in data):
        raise EngineError("The answer was begun by another engine and cannot be continued here.")
    return b"".join([piece[1:] for piece in data]).decode()
