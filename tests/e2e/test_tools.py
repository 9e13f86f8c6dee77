"""Calls of tools and their results by each API; the echo engine calls what it is to spell."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageToolCall

from tests.e2e.cloud import API_KEY, Cloud
from tests.e2e.test_open_responses import ended, over_json, over_sse, over_websocket, turn

Json = dict[str, Any]
PARAMETERS: Json = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}
TOOL: Json = {"type": "function", "name": "get_weather", "parameters": PARAMETERS}
ARGUMENTS: Json = {"location": "San Francisco, CA"}


def called(*calls: tuple[str, Json], text: str = "") -> str:
    """Return the prompt at which the model calls functions."""
    made = (json.dumps({"name": name, "arguments": arguments}) for name, arguments in calls)
    return f"spell: {text}" + "".join(f"<tool_call>\n{call}\n</tool_call>" for call in made)


PROMPT = called(("get_weather", ARGUMENTS), text="I look it up.\n")
TWICE = called(("get_weather", ARGUMENTS), ("get_weather", {"location": "Ürümqi"}))


def calls_in(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "function_call"]


@pytest.mark.parametrize("ask", [over_json, over_sse, over_websocket])
def test_open_responses_tool_is_called(client: OpenAI, ask: Callable[..., Json]) -> None:
    response = ask(client, model="echo", input=PROMPT, tools=[TOOL])
    message, call = response["output"]
    assert message["content"][0]["text"] == "I look it up."
    assert (call["type"], call["name"], call["status"]) == (
        "function_call",
        "get_weather",
        "completed",
    )
    assert json.loads(call["arguments"]) == ARGUMENTS


def test_open_responses_result_of_a_call_continues_the_answer(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        first = ended(turn(connection, input=TWICE, tools=[TOOL], store=False))
        results: list[Json] = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": '{"t":"18 °C"}'}
            for call in calls_in(first)
        ]
        results.append({"role": "user", "content": "and now"})
        second = ended(
            turn(
                connection,
                input=results,
                tools=[TOOL],
                store=False,
                previous_response_id=first["id"],
            )
        )
    assert [json.loads(call["arguments"])["location"] for call in calls_in(first)] == [
        "San Francisco, CA",
        "Ürümqi",
    ]
    assert second["output"][0]["content"][0]["text"] == "and now"


def test_tool_is_not_called_where_the_choice_is_none(client: OpenAI) -> None:
    response = over_json(client, model="echo", input=PROMPT, tools=[TOOL], tool_choice="none")
    (message,) = response["output"]
    assert "<tool_call>" in message["content"][0]["text"]


@pytest.mark.parametrize(
    ("fields", "called_with"), [({"parallel_tool_calls": False}, 1), ({"max_tool_calls": 1}, 1)]
)
def test_answer_ends_after_as_many_calls_as_it_may_have(
    client: OpenAI, fields: Json, called_with: int
) -> None:
    response = over_json(client, model="echo", input=TWICE, tools=[TOOL], **fields)
    assert len(calls_in(response)) == called_with


@pytest.mark.parametrize("ask", [over_json, over_websocket])
def test_custom_tool_gets_its_text(client: OpenAI, ask: Callable[..., Json]) -> None:
    patch = '*** Begin "Patch"\n+é'
    namespace = {"type": "namespace", "name": "files", "description": "Files."}
    tools: Sequence[Json] = [namespace | {"tools": [{"type": "custom", "name": "patch"}]}]
    response = ask(
        client, model="echo", input=called(("files__patch", {"input": patch})), tools=tools
    )
    assert response["tools"] == tools
    (call,) = response["output"]
    assert (call["type"], call["namespace"], call["name"]) == ("custom_tool_call", "files", "patch")
    assert call["input"] == patch


def test_chat_streams_calls_and_takes_their_results(client: OpenAI) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": PARAMETERS},
    }
    messages: list[Any] = [{"role": "user", "content": TWICE}]
    with client.chat.completions.stream(model="echo", messages=messages, tools=[tool]) as stream:
        completion = stream.get_final_completion()
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather"] * 2
    assert json.loads(calls[0].function.arguments) == ARGUMENTS
    whole = client.chat.completions.create(model="echo", messages=messages, tools=[tool])
    shown = whole.choices[0].message.tool_calls or []
    assert isinstance(shown[0], ChatCompletionMessageToolCall)
    assert shown[0].function.arguments == calls[0].function.arguments
    messages += [
        choice.message.model_dump(exclude_none=True),
        *({"role": "tool", "tool_call_id": call.id, "content": "18 °C"} for call in calls),
        {"role": "user", "content": "and now"},
    ]
    answer = client.chat.completions.create(model="echo", messages=messages, tools=[tool])
    assert answer.choices[0].message.content == "and now"


def test_messages_stream_calls_and_take_their_results(cloud: Cloud) -> None:
    tool: Any = {"name": "get_weather", "input_schema": PARAMETERS}
    messages: list[Any] = [{"role": "user", "content": TWICE}]
    request: Json = {"model": "echo", "max_tokens": 500, "tools": [tool]}
    base_url = cloud.base_url.removesuffix("/v1")
    with Anthropic(api_key=API_KEY, base_url=base_url) as client:
        with client.messages.stream(messages=messages, **request) as stream:
            message = stream.get_final_message()
        assert message.stop_reason == "tool_use"
        blocks = [block for block in message.content if block.type == "tool_use"]
        assert [block.input for block in blocks] == [ARGUMENTS, {"location": "Ürümqi"}]
        assert all(block.id.startswith("toolu_") for block in blocks)
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "18 °C"} for block in blocks
        ]
        messages += [
            {"role": "assistant", "content": [block.to_dict() for block in message.content]},
            {"role": "user", "content": [*results, {"type": "text", "text": "and now"}]},
        ]
        answer = client.messages.create(messages=messages, **request)
    assert [block.type == "text" and block.text for block in answer.content] == ["and now"]
