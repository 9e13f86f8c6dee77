"""Readers of the fields of an upstream's events, which may have any shape."""

import json
import math
from collections.abc import Mapping
from typing import Any

from axon.serialization import loads

_MAX_COUNT = 1 << 40
_MAX_DIGITS = 13
_HIDDEN_PARTS = ("thinking", "reasoning", "redacted_thinking", "reference")
"""Types of content parts that are no text of the answer (Mistral's API, gateways)."""


class ShapeError(ValueError):
    """A field is not what OpenAI's API has there. The message has no text of the answer."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")


def object_of(data: bytes) -> dict[str, Any]:
    """Return the JSON object of an event.

    Raises
    ------
    ShapeError
        The data is no JSON object in UTF-8.
    """
    try:
        event = loads(data)
    except ValueError:
        event = _lenient(data)
    if not isinstance(event, dict):
        raise ShapeError("an event", f"must be a JSON object, not {kind_of(event)}")
    return event


def _lenient(data: bytes) -> Any:
    """Return JSON as Python reads it: with NaN, and with one half of a surrogate pair."""
    try:
        return json.loads(data.decode())  # of bytes it would take UTF-16 and lone surrogates, too
    except (ValueError, RecursionError) as error:
        raise ShapeError("an event", f"is no JSON ({type(error).__name__})") from None


def kind_of(value: object) -> str:
    """Return the JSON type of a value, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"


def choice_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the event's first choice; an empty mapping for events without it (usage).

    One answer is asked for, so choices of another index are nobody's.

    Raises
    ------
    ShapeError
        `choices` is no list of objects.
    """
    choices = event.get("choices")
    if choices is None:
        return {}
    if not isinstance(choices, list):
        raise ShapeError("choices", f"must be a list, not {kind_of(choices)}")
    for number, choice in enumerate(choices):
        if not isinstance(choice, dict):
            raise ShapeError(f"choices[{number}]", f"must be an object, not {kind_of(choice)}")
        if choice.get("index", 0) in (0, "0", None):
            return choice
    return {}


def delta_of(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a choice's delta; an empty mapping for none.

    Raises
    ------
    ShapeError
        It is no object.
    """
    delta = choice.get("delta")
    if delta is None:
        return {}
    if not isinstance(delta, dict):
        raise ShapeError("choices[0].delta", f"must be an object, not {kind_of(delta)}")
    return delta


def content_text(content: object, field: str) -> str:
    """Return the text of a content, which is a string, null, a part or a list of parts.

    Raises
    ------
    ShapeError
        It is none of these, or a part has no text and is not known to have none.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(part, f"{field}[{number}]") for number, part in enumerate(content))
    return _part(content, field)


def _part(part: object, field: str) -> str:
    if part is None:
        return ""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise ShapeError(field, f"must be text or a list of parts, not {kind_of(part)}")
    text = part.get("text")
    if isinstance(text, str):
        return text
    if part.get("type") in _HIDDEN_PARTS:
        return ""
    raise ShapeError(f"{field}.text", f"must be text, not {kind_of(text)}")


def token_ids(value: object, field: str) -> list[int] | None:
    """Return token ids, None for null.

    Raises
    ------
    ShapeError
        They are no list of numbers that can be ids.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise ShapeError(field, f"must be a list of token ids, not {kind_of(value)}")
    for number, each in enumerate(value):
        if type(each) is not int or not 0 <= each < _MAX_COUNT:
            raise ShapeError(f"{field}[{number}]", "must be a token id")
    return value


def count_of(value: object) -> int | None:
    """Return a number of tokens, None for what is none; gateways write it as text, too."""
    if isinstance(value, str) and value.isascii() and len(digits := value.strip()) <= _MAX_DIGITS:
        value = int(digits) if digits.isdecimal() else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) and value.is_integer() else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_COUNT:
        return None
    return value


def cached_tokens(counts: object) -> int:
    """Return how much of a prompt was in the upstream's prefix cache; 0 where it does not tell."""
    details = counts.get("prompt_tokens_details") if isinstance(counts, dict) else None
    told = details.get("cached_tokens") if isinstance(details, dict) else None
    return count_of(told) or 0
