"""The messages of a hostile tenant."""

import json
from itertools import count
from typing import Any

LARGE = 110_000
"""Bytes of a large input; a message may have 128 KB."""
_FRAME = 30_000
_DEPTHS = (60, 197, 600)
_NUMBERS = count()


def create(**fields: Any) -> str:
    """Return a request."""
    return json.dumps({"type": "response.create", "model": "echo", "input": "hi"} | fields)


def frames(message: str) -> list[str]:
    """Return the frames of a message: API Gateway takes frames of 32 KB."""
    return [message[start : start + _FRAME] for start in range(0, len(message), _FRAME)]


def warm_up(*, store: bool) -> str:
    """Return a warm-up with a large input, which differs from all others."""
    return create(generate=False, store=store, input=f"{next(_NUMBERS)}" + "x" * LARGE)


def nested(depth: int) -> dict[str, Any]:
    """Return objects inside objects."""
    value: dict[str, Any] = {"a": 1}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def _formatted(schema: dict[str, Any]) -> str:
    return create(text={"format": {"type": "json_schema", "name": "x", "schema": schema}})


def schemas() -> list[str]:
    """Return requests whose formats and tools are expensive or cannot be decoded."""
    pattern = {"type": "string", "pattern": "(" * 30_000 + ")" * 30_000}
    wide = {f"p{number}": {"type": "string"} for number in range(2500)}
    return [
        *(_formatted(nested(depth)) for depth in _DEPTHS),
        *(
            create(tools=[{"type": "function", "name": "f", "parameters": nested(depth)}])
            for depth in _DEPTHS
        ),
        _formatted({"type": "object", "properties": {"a": pattern}}),
        _formatted({"type": "object", "properties": wide}),
        create(instructions="i" * LARGE),
        "[" * 100_000,
        '{"type": "response.create"',
        create(input=[{"role": "user", "content": None}]),
    ]
