"""Decoding of clients' messages: JSON of bounded depth, whose numbers can be encoded again."""

from math import isinf
from typing import Any

from axon.exceptions import RequestError
from axon.protocol.counting import MAX_VALUES, ValueCount, count_values
from axon.serialization import loads

MAX_DEPTH = 64
"""Most objects and arrays of a message inside each other, itself included. Jobs, events and records
hold parts of it a few levels deeper, and decoders stop at 200 (pydantic's `from_json`)."""


def parse_object(
    body: str | bytes | bytearray, *, counted: ValueCount | None = None
) -> dict[str, Any]:
    """Decode a message.

    Parameters
    ----------
    body : str | bytes | bytearray
        The message.
    counted : ValueCount | None
        Its values, if they are counted already.

    Raises
    ------
    RequestError
        Not JSON, not an object, more than `MAX_VALUES`, nested more than `MAX_DEPTH` levels deep,
        or with a number that JSON cannot give back.
    """
    counted = counted or count_values(body.encode() if isinstance(body, str) else body)
    # Before it is decoded: 7 million empty objects would take 12 GB until the last one is refused.
    if counted.values > MAX_VALUES:
        raise RequestError(
            f"The request is too large: it has more than {MAX_VALUES:,} values, which are objects, "
            "arrays, and all that is in them. Join short texts, or leave earlier items out.",
            code="request_too_large",
            status=413,
        )
    try:
        value = loads(body)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise _too_deep("The message") from error
        raise RequestError(
            f"The message is not valid JSON: {error}. Send one JSON object per message.",
            code="invalid_json",
        ) from error
    if not isinstance(value, dict):
        raise RequestError("The message must be a JSON object.", code="invalid_json")
    for field, part in value.items():
        if _is_deeper(part, MAX_DEPTH - 1):
            raise _too_deep(f"'{field[:64]}'", param=field[:64])
    if counted.huge_numbers:
        _refuse_infinities(value)
    return value


def _refuse_infinities(message: dict[str, Any]) -> None:
    """Refuse a number that was decoded as infinite: it would be null wherever it is encoded again.

    Raises
    ------
    RequestError
        It names the field.
    """
    for field, part in message.items():
        if _has_infinity(part):
            raise RequestError(
                f"'{field[:64]}' has a number beyond the range of a double (1.8e308). "
                "Send a smaller one.",
                code="invalid_value",
                param=field[:64],
            )


def _has_infinity(value: Any) -> bool:
    if isinstance(value, float):
        return isinf(value)
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(map(_has_infinity, inner))


def _too_deep(what: str, *, param: str | None = None) -> RequestError:
    return RequestError(
        f"{what} is nested too deep: at most {MAX_DEPTH} objects and arrays may be inside each "
        "other. Flatten it.",
        code="invalid_value",
        param=param,
    )


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether objects and arrays are more than this number of levels deep.

    Level by level, not by recursion: the value is a client's.
    """
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not level:  # as after a few levels of most messages
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)
