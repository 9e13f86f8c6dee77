"""Identifiers: a prefix and a UUIDv7 in hex, so that they sort by time of creation."""

import os
import re
import time
from hashlib import sha256

_PATTERN = re.compile(r"[a-z]+_[0-9a-f]{32}")


def new_id(prefix: str) -> str:
    """Return ``prefix_`` + 32 hex digits of a new UUIDv7 (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        milliseconds << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return f"{prefix}_{value:032x}"


def same_id(prefix: str, other: str) -> str:
    """Return `other` under another prefix: a response and its message share their unique part."""
    return f"{prefix}_{other.partition('_')[2]}"


def derived_id(prefix: str, other: str, index: int) -> str:
    """Return the id of a response's item: the same one in every attempt, another one per index.

    Item 0 has the response's own unique part (`same_id`).
    """
    if index == 0:
        return same_id(prefix, other)
    return f"{prefix}_{sha256(f'{other}/{index}'.encode()).hexdigest()[:32]}"


def keyed_id(prefix: str, *parts: str) -> str:
    """Return the id of what a client asks for under a key: the same one for the same parts."""
    digest = sha256("\n".join(parts).encode()).hexdigest()
    return f"{prefix}_{digest[:32]}"


def is_id(prefix: str, value: str) -> bool:
    """Return whether `value` has the form of an id with this prefix."""
    return value.startswith(prefix + "_") and _PATTERN.fullmatch(value) is not None
