"""Null: SDKs and frameworks send it for fields that are not set, so it means what absence means."""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import pytest
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartRefusalParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionDeveloperMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsBase,
    CompletionCreateParamsStreaming,
)
from openai.types.shared_params import FunctionDefinition
from openai.types.shared_params.response_format_json_schema import JSONSchema

from axon.protocol.chat.request import parse_chat, to_create_response
from axon.protocol.objects import Json
from tests.unit.axon.protocol.chat.chat_samples import BODY, USER

CALL: Json = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASSISTANT: Json = {"role": "assistant", "tool_calls": [CALL]}
OUTPUT: Json = {"role": "tool", "content": "1", "tool_call_id": "c"}
MESSAGES: list[tuple[Json, Any]] = [
    ({"role": "system", "content": "s"}, ChatCompletionSystemMessageParam),
    ({"role": "developer", "content": "d"}, ChatCompletionDeveloperMessageParam),
    (USER, ChatCompletionUserMessageParam),
    ({"role": "assistant"}, ChatCompletionAssistantMessageParam),
    (ASSISTANT, ChatCompletionAssistantMessageParam),
    (OUTPUT, ChatCompletionToolMessageParam),
]


def places() -> Iterator[tuple[Any, Json, Callable[[Json], Json]]]:
    """Yield each of the SDK's types, with fields that it needs, and the fields around it."""
    yield CompletionCreateParamsBase, BODY, dict
    yield CompletionCreateParamsStreaming, BODY, dict
    yield ChatCompletionStreamOptionsParam, {}, lambda options: {"stream_options": options}
    tool: Json = {"type": "function", "function": {"name": "f"}}
    yield ChatCompletionFunctionToolParam, tool, lambda it: {"tools": [it]}
    yield FunctionDefinition, tool["function"], lambda it: {"tools": [tool | {"function": it}]}
    schema = {"type": "json_schema"}
    yield JSONSchema, {"name": "n"}, lambda it: {"response_format": schema | {"json_schema": it}}
    for needed, kind in MESSAGES:
        yield kind, needed, lambda it: {"messages": [USER, ASSISTANT, OUTPUT, it]}
    for part, kind in (
        ({"type": "text", "text": "t"}, ChatCompletionContentPartTextParam),
        ({"type": "refusal", "refusal": "r"}, ChatCompletionContentPartRefusalParam),
    ):
        yield kind, part, lambda it: {"messages": [{"role": "assistant", "content": [it]}]}
    yield (
        ChatCompletionMessageFunctionToolCallParam,
        CALL,
        lambda it: {"messages": [{"role": "assistant", "tool_calls": [it]}]},
    )


def nulls() -> Iterator[tuple[str, Json, Json]]:
    """Yield a request for each optional field of the SDK's types, null in it, and one without."""
    for number, (kind, needed, around) in enumerate(places()):
        for name in kind.__annotations__.keys() - needed.keys():
            without = BODY | around(needed)
            yield (
                f"{kind.__name__}-{number}.{name}",
                BODY | around(needed | {name: None}),
                without,
            )


@pytest.mark.parametrize(
    ("wanting", "without"),
    [pytest.param(*each[1:], id=each[0]) for each in sorted(nulls(), key=itemgetter(0))],
)
def test_parser_takes_null_for_what_is_absent(wanting: Json, without: Json) -> None:
    assert to_create_response(parse_chat(wanting)) == to_create_response(parse_chat(without))


def test_parser_takes_a_call_without_a_type() -> None:
    for call in (CALL | {"type": None}, {key: CALL[key] for key in ("id", "function")}):
        messages = [{"role": "assistant", "tool_calls": [call]}]
        assert to_create_response(parse_chat(BODY | {"messages": messages})).input
