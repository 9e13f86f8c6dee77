"""Sizes of WebSocket messages, and of what goes into them (ADR 21). No I/O."""

from typing import Any

from axon.serialization import dumps

MESSAGE_BYTES = 128 * 1024
"""Longest message that API Gateway carries, in either direction (AWS quota)."""
FRAME_BYTES = 32 * 1024
"""Longest WebSocket frame that API Gateway takes from a client; a message may have several (AWS
quota). SDKs send a message as one frame."""
END_BYTES = 2_048
"""Reserved in the terminal event for what only the end adds: usage (at most 260 bytes), reason, an
error (`ERROR_BYTES` and 100), an empty message (300)."""
ERROR_BYTES = 1_024
"""Longest message of a failed response's error, as JSON."""
TEXT_BYTES = 8 * 1024
"""Text that an accepted response has room for, as JSON: about 2,000 tokens of English."""
LONGEST_CHARACTER = 6
"""Bytes of a control character, as an escape; others have 4 at most, in UTF-8."""


def json_bytes(value: Any) -> int:
    """Return the bytes that a value has as JSON in an event."""
    return len(dumps(value))


def text_bytes(text: str) -> int:
    """Return the bytes that a text adds to a JSON string: escapes count, characters are UTF-8.

    The bytes of two texts are those of the joined text, so sums over deltas are exact.
    """
    return json_bytes(text) - 2


def beginning(text: str, limit: int) -> str:
    """Return the longest beginning of a text that has at most `limit` bytes (`text_bytes`)."""
    if limit <= 0:
        return ""
    if len(text) * LONGEST_CHARACTER <= limit:  # nearly every delta: nothing is counted
        return text
    text = text[:limit]  # a character has a byte at least
    if text_bytes(text) <= limit:
        return text
    fits, exceeds = 0, len(text)
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if text_bytes(text[:middle]) <= limit:
            fits = middle
        else:
            exceeds = middle
    return text[:fits]
