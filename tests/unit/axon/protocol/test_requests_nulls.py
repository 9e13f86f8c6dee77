"""Null: SDKs and frameworks send it for fields that are not set, so it means what absence means."""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import pytest
from openai.types.responses import (
    EasyInputMessageParam,
    FunctionToolParam,
    ResponseFormatTextJSONSchemaConfigParam,
    ResponseFunctionToolCallParam,
    ResponseInputTextParam,
    ResponseOutputMessageParam,
    ResponseOutputRefusalParam,
    ResponseOutputTextParam,
    ResponseReasoningItemParam,
    ResponseTextConfigParam,
)
from openai.types.responses.response_create_params import ResponseCreateParamsBase, StreamOptions
from openai.types.responses.response_input_param import FunctionCallOutput, Message
from openai.types.shared_params import Reasoning

from axon.protocol.requests import CreateResponse, parse_event

ITEMS: list[tuple[dict[str, Any], Any]] = [
    ({"role": "user", "content": "hi"}, EasyInputMessageParam),
    (
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ResponseFunctionToolCallParam,
    ),
    ({"type": "function_call_output", "call_id": "c", "output": "1"}, FunctionCallOutput),
    ({"type": "reasoning", "id": "r", "summary": []}, ResponseReasoningItemParam),
    ({"type": "message", "role": "user", "content": "hi"}, Message),
    (
        {"type": "message", "id": "m", "role": "assistant", "content": "hi"},
        ResponseOutputMessageParam,
    ),
]
FORMAT: dict[str, Any] = {"type": "json_schema", "name": "n", "schema": {}}
PARTS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "input_text", "text": "hi"}, ResponseInputTextParam),
    ({"type": "output_text", "text": "hi"}, ResponseOutputTextParam),
    ({"type": "refusal", "refusal": "no"}, ResponseOutputRefusalParam),
]


def in_item(item: dict[str, Any]) -> dict[str, Any]:
    return {"input": [item]}


def in_message(part: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "assistant", "content": [part]}]}


def in_output(part: dict[str, Any]) -> dict[str, Any]:
    return {"input": [ITEMS[1][0], {**ITEMS[2][0], "output": [part]}]}


def places() -> Iterator[tuple[Any, dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]]:
    """Yield each of the SDK's types, with fields that it needs, and the request around it."""
    # Needed, too, but in every request here.
    yield ResponseCreateParamsBase, {"model": "echo", "input": "hi"}, dict
    yield ResponseTextConfigParam, {}, lambda text: {"text": text}
    yield ResponseFormatTextJSONSchemaConfigParam, FORMAT, lambda it: {"text": {"format": it}}
    yield Reasoning, {}, lambda reasoning: {"reasoning": reasoning}
    yield StreamOptions, {}, lambda options: {"stream_options": options}
    yield FunctionToolParam, {"type": "function", "name": "f"}, lambda tool: {"tools": [tool]}
    for needed, kind in ITEMS:
        yield kind, needed, in_item
    for needed, kind in PARTS:
        yield kind, needed, in_message
        yield kind, needed, in_output


def nulls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a request for each optional field of the SDK's types, which is null in it."""
    request = {"type": "response.create", "model": "echo", "input": "hi"}
    for kind, needed, around in places():
        for name in kind.__annotations__.keys() - needed.keys():
            yield f"{kind.__name__}.{name}", request | around(needed | {name: None})


@pytest.mark.parametrize(
    "wanting", [pytest.param(*each[1:], id=each[0]) for each in sorted(nulls(), key=itemgetter(0))]
)
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
