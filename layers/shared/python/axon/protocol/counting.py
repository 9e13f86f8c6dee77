"""Counting of a JSON text's values before it is decoded, when they cost no memory yet. No I/O."""

import re
from dataclasses import dataclass

MAX_VALUES = 100_000
"""Most values of a message: objects, arrays, and what is in them, also names. Each takes up to 1.5
KB and 15 µs on its way into a job; a text is one value, however long it is."""
PIECE_BYTES = 64 * 1024
"""Bytes that are looked at in one step: what a step takes in memory is bounded by it."""
_HUGE_NUMBER = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{209}")
"""A number that may be above the largest double, 1.8e308: an exponent of two digits, 99 at most,
takes 209 digits before it."""
_OVERLAP = 256
"""Bytes of the step before that are looked at again, as a number may be in both."""


@dataclass(frozen=True, slots=True)
class ValueCount:
    """The values of a JSON text.

    Parameters
    ----------
    values : int
        Their number; if it is above `MAX_VALUES`, of a beginning alone.
    huge_numbers : bool
        One of them may be a number that no double holds.
    """

    values: int
    huge_numbers: bool


def count_values(text: bytes | bytearray) -> ValueCount:
    """Count the values of a text, which need not be valid: of what a decoder takes before an error.

    Brackets, commas and digits in strings do not count, and these are left out without a look at
    each character: between two quotes that no backslash escapes is a string.
    """
    values, huge, inside, number = 1, False, False, b""
    position = 0
    while position < len(text) and values <= MAX_VALUES:
        end = _end_of_piece(text, position)
        piece = bytes(text[position:end]).replace(b"\\\\", b"").replace(b'\\"', b"")
        position = end
        parts = piece.split(b'"')
        outside = b" ".join(parts[inside::2])
        inside ^= not len(parts) % 2
        values += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        values += outside.count(b":")
        number += outside
        huge = huge or _HUGE_NUMBER.search(number) is not None
        number = number[-_OVERLAP:]
    return ValueCount(values, huge)


def _end_of_piece(text: bytes | bytearray, position: int) -> int:
    """Return where a piece ends: not between a backslash and what it escapes."""
    end = min(position + PIECE_BYTES, len(text))
    first = end
    while first > position and text[first - 1] == ord("\\"):
        first -= 1
    return end + 1 if (end - first) % 2 and end < len(text) else end
