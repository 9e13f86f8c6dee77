"""Null: SDKs and frameworks send it for fields that are not set, so it means what absence means."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import (
    EasyInputMessageParam,
    FunctionToolParam,
    ResponseFunctionToolCallParam,
    ResponseReasoningItemParam,
    ResponseTextConfigParam,
)
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.response_input_param import FunctionCallOutput

from axon.protocol.requests import CreateResponse, parse_event

ITEMS: list[tuple[dict[str, Any], Any]] = [
    ({"role": "user", "content": "hi"}, EasyInputMessageParam),
    (
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ResponseFunctionToolCallParam,
    ),
    ({"type": "function_call_output", "call_id": "c", "output": "1"}, FunctionCallOutput),
    ({"type": "reasoning", "id": "r", "summary": []}, ResponseReasoningItemParam),
]


def nulls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a request for each optional field of the SDK's types, which is null in it."""
    request = {"type": "response.create", "model": "echo", "input": "hi"}
    for name in ResponseCreateParamsBase.__annotations__:
        if name not in ("model", "input"):  # needed, as `prompt` is not supported
            yield name, request | {name: None}
    for name in ResponseTextConfigParam.__annotations__:
        yield f"text.{name}", request | {"text": {name: None}}
    for item, kind in ITEMS:
        for name in kind.__annotations__:
            if name not in item:
                yield f"{kind.__name__}.{name}", request | {"input": [item | {name: None}]}
    tool = {"type": "function", "name": "f"}
    for name in FunctionToolParam.__annotations__:
        if name not in tool:
            yield f"tools.{name}", request | {"tools": [tool | {name: None}]}


@pytest.mark.parametrize("wanting", [pytest.param(*each[1:], id=each[0]) for each in nulls()])
def test_parser_takes_null_for_what_is_absent(wanting: dict[str, Any]) -> None:
    parsed, without = parse_event(wanting), parse_event(_without_nulls(wanting))
    assert isinstance(parsed, CreateResponse)
    assert _without_nulls(parsed.model_dump()) == _without_nulls(without.model_dump())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value
