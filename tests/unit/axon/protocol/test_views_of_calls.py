"""One answer with reasoning, text and calls in three APIs: as SDKs read it, and send it back."""

import json
from collections.abc import Iterable
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai import omit
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from axon.event_log.log import LoggedEvent
from axon.protocol.anthropic import request as messages
from axon.protocol.anthropic.result import message_of
from axon.protocol.chat import request as completions
from axon.protocol.chat.choices import ChoiceStreams, completion_of_all
from axon.protocol.chat.result import completion_of
from axon.protocol.chat.stream import DONE, ChatStream
from axon.protocol.objects import Json
from axon.protocol.requests import CreateResponse
from axon.serialization import loads
from tests.unit.axon.protocol.anthropic.answer_samples import decoded, streamed
from tests.unit.axon.protocol.chat.chat_samples import an_answer, chunks_of, end_of
from tests.unit.axon.protocol.transcript_samples import (
    custom_call,
    function_call,
    message,
    reasoning,
)

USER = {"role": "user", "content": "Compare the weather."}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BLOCK_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
ARGUMENTS = ['{"city":"Paris"}', '{"city":"Ürümqi","days":[1,2]}']


def the_answer() -> list[LoggedEvent]:
    return an_answer(
        reasoning("two ", "cities"),
        message("I look ", "both up."),
        function_call('{"city":', '"Par', 'is"}'),
        function_call('{"city":"Ür', 'ümqi","days":[1,', "2]}"),
    )


def sent_back(request: CreateResponse) -> list[Json]:
    """Return the request's items in the words of a response's output."""
    assert not isinstance(request.input, str)
    return [item.model_dump() for item in request.input]


def items_of(events: list[LoggedEvent]) -> list[Json]:
    """Return the answer's items as a conversation has them, without ids and states."""
    items = []
    for item in end_of(events)["output"]:
        kept = {name: value for name, value in item.items() if name not in ("id", "status")}
        if item["type"] == "message":
            kept["content"] = "".join(part["text"] for part in item["content"])
        items.append(kept)
    return items


def with_plain_text(items: Iterable[Json]) -> list[Json]:
    return [
        item | {"content": item["content"][0]["text"]}
        if item["type"] == "message" and isinstance(item["content"], list)
        else item
        for item in items
    ]


def test_answer_is_read_by_the_responses_sdk_as_it_ends() -> None:
    events = the_answer()
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    snapshots = []
    for event in events:
        for made in state.handle_event(EVENT.validate_json(event.data)):
            if made.type == "response.function_call_arguments.delta":
                snapshots.append(made.snapshot)
    assert [text for text in snapshots if text in ARGUMENTS] == ARGUMENTS
    output = state._completed_response.output if state._completed_response else []
    assert [item.type for item in output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    calls = [item.to_dict(exclude_none=True) for item in output[2:]]
    assert calls == end_of(events)["output"][2:]


def test_answer_is_read_by_the_chat_sdk_and_comes_back_as_the_same_items() -> None:
    events = the_answer()
    state = ChatCompletionStreamState()
    for chunk in chunks_of(events):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    (choice,) = state.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    whole = ChatCompletion.model_validate(completion_of(end_of(events))).choices[0]
    read: Json = whole.message.model_dump(exclude_none=True)
    said: Json = choice.message.model_dump(exclude_none=True)
    for call in said["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    assert said == read
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "sun"}
        for call in said["tool_calls"]
    ]
    body = {"model": "echo", "messages": [USER, said, *results]}
    request = completions.to_create_response(completions.parse_chat(body))
    _, *items, first, second = sent_back(request)
    assert items == items_of(events)
    assert [first["call_id"], second["call_id"]] == [item["call_id"] for item in items[2:]]


def test_answer_is_read_by_anthropics_sdk_and_comes_back_as_the_same_items() -> None:
    events = the_answer()
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in decoded(streamed(events, thinking=True)):
        if event["type"] != "ping":
            typed = BLOCK_EVENT.validate_python(event)
            snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot.stop_reason == "tool_use"
    whole = AnthropicMessage.model_validate(message_of(end_of(events), thinking=True))
    said = [block.to_dict(exclude_none=True) for block in snapshot.content]
    assert said == [block.to_dict(exclude_none=True) for block in whole.content]
    assert [block["type"] for block in said] == ["thinking", "text", "tool_use", "tool_use"]
    assert all(str(block["id"]).startswith("toolu_") for block in said[2:])
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "sun"} for block in said[2:]
    ]
    body = {
        "model": "echo",
        "max_tokens": 9,
        "messages": [
            USER,
            {"role": "assistant", "content": said},
            {"role": "user", "content": results},
        ],
    }
    request = messages.to_create_response(messages.parse_message(body))
    _, *items, first, second = with_plain_text(sent_back(request))
    assert items == items_of(events)
    assert [first["call_id"], second["call_id"]] == [item["call_id"] for item in items[2:]]


def test_each_choice_of_a_completion_has_calls_of_its_own() -> None:
    answers = [an_answer(message("no")), the_answer()]
    streams = ChoiceStreams([ChatStream(index=index) for index in range(2)])
    data = [
        made
        for index, events in enumerate(answers)
        for event in events
        for made in streams.feed(index, loads(event.data))
    ]
    assert data.pop() == DONE
    state = ChatCompletionStreamState()
    for each in data:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(each))
    streamed_choices = state.get_final_completion().choices
    whole = completion_of_all([end_of(events) for events in answers], completion_of)
    for streamed_choice, choice in zip(streamed_choices, whole["choices"], strict=True):
        assert streamed_choice.finish_reason == choice["finish_reason"]
        calls = streamed_choice.message.tool_calls or []
        assert [(call.id, json.loads(call.function.arguments)) for call in calls] == [
            (call["id"], json.loads(call["function"]["arguments"]))
            for call in choice["message"].get("tool_calls", ())
        ]
    assert [choice.finish_reason for choice in streamed_choices] == ["stop", "tool_calls"]


def test_call_of_a_custom_tool_is_shown_and_comes_back_in_chat() -> None:
    events = an_answer(custom_call("*** Begin", " Patch"))
    whole = ChatCompletion.model_validate(completion_of(end_of(events))).choices[0]
    said = whole.message.model_dump(exclude_none=True)
    (call,) = said["tool_calls"]
    assert (call["type"], call["custom"]["input"]) == ("custom", "*** Begin Patch")
    result = {"role": "tool", "tool_call_id": call["id"], "content": "done"}
    body = {"model": "echo", "messages": [USER, said, result]}
    _, asked, answered = sent_back(completions.to_create_response(completions.parse_chat(body)))
    assert (asked["type"], asked["input"]) == ("custom_tool_call", "*** Begin Patch")
    assert answered["type"] == "custom_tool_call_output"
