"""Streams of the Messages API, made of the events of real transcripts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import RequestError
from axon.ids import same_id
from axon.protocol.anthropic.result import message_of
from axon.protocol.anthropic.stream import MessageStream, error_event
from axon.protocol.objects import Json
from axon.serialization import loads
from tests.unit.axon.protocol.anthropic.answer_samples import (
    Part,
    answer,
    decoded,
    end_of,
    streamed,
)

TEXT: Part = ("text", ["Hel", "lo, ", "wörld 🌍"])
CALL: Part = ("call", ['{"city": "Pa', 'ris"}'])
THINKING: Part = ("thinking", ["hm", "m"])
USAGE = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 6,
    "output_tokens": 4,
}
NOTHING = dict.fromkeys(USAGE, 0)
EMPTY = {"type": "text", "text": ""}
OVERLOADED = {"code": "server_error", "type": "server_overloaded", "message": "Later."}
OVERFLOW = {"code": "context_length_exceeded", "message": "9 > 8."}


def start(events: list[LoggedEvent], usage: Json = NOTHING) -> list[Json]:
    message: Json = {
        "id": same_id("msg", end_of(events)["id"]),
        "type": "message",
        "role": "assistant",
        "model": "echo",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage | {"service_tier": "standard"},
    }
    return [{"type": "message_start", "message": message}, {"type": "ping"}]


def block(index: int, content: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int) -> list[Json]:
    deltas = [{"type": "text_delta", "text": piece} for piece in TEXT[1]]
    return block(index, EMPTY, *deltas)


def end(stop_reason: str, usage: Json = USAGE) -> list[Json]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": usage},
        {"type": "message_stop"},
    ]


def call(events: list[LoggedEvent], index: int) -> Json:
    call_id = end_of(events)["output"][index]["call_id"]
    block_id = same_id("toolu", call_id)
    return {"type": "tool_use", "id": block_id, "name": "look_up", "input": {}}


def test_stream_of_a_text_is_one_block() -> None:
    events = answer(TEXT)
    assert decoded(streamed(events)) == [*start(events), *text_block(0), *end("end_turn")]


def test_stream_of_thinking_text_and_calls_has_a_block_for_each() -> None:
    events = answer(THINKING, TEXT, CALL, ("call", []))
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in THINKING[1]]
    thoughts.append({"type": "signature_delta", "signature": "unsigned"})
    arguments = [{"type": "input_json_delta", "partial_json": piece} for piece in CALL[1]]
    assert decoded(streamed(events, thinking=True)) == [
        *start(events),
        *block(0, thinking, *thoughts),
        *text_block(1),
        *block(2, call(events, 2), *arguments),
        *block(3, call(events, 3)),
        *end("tool_use"),
    ]


def test_stream_leaves_out_thinking_that_was_not_asked_for() -> None:
    events = answer(THINKING, TEXT)
    assert decoded(streamed(events)) == [*start(events), *text_block(0), *end("end_turn")]


def test_stream_of_an_answer_without_text_has_no_block() -> None:
    events = answer(("text", [""]), ("summary", ["Sum"]))
    assert decoded(streamed(events, thinking=True)) == [*start(events, USAGE), *end("end_turn")]


@pytest.mark.parametrize("cut", [False, True])
def test_stream_of_an_answer_that_is_too_long_says_so(cut: bool) -> None:
    events = answer(TEXT, cut=cut, status=Status.INCOMPLETE, reason="max_output_tokens")
    assert decoded(streamed(events)) == [*start(events), *text_block(0), *end("max_tokens")]


def test_stream_of_a_call_that_was_cut_short_ends_with_the_limit() -> None:
    events = answer(CALL, cut=True, status=Status.INCOMPLETE, reason="max_output_tokens")
    assert decoded(streamed(events))[-2:] == end("max_tokens")


def test_stream_of_an_answer_without_usage_counts_nothing() -> None:
    assert decoded(streamed(answer(TEXT, usage=None)))[-2:] == end("end_turn", NOTHING)


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"status": Status.FAILED, "error": OVERLOADED}, "overloaded_error", "Later."),
        (
            {"status": Status.FAILED, "error": OVERFLOW},
            "invalid_request_error",
            "prompt is too long: 9 > 8.",
        ),
    ],
)
def test_stream_of_an_answer_that_fails_raises_what_its_last_event_says(
    fields: Json, kind: str, message: str
) -> None:
    *events, last = answer(TEXT, cut=True, **fields)
    stream = MessageStream()
    made = [each for event in events for each in stream.feed(loads(event.data))]
    assert decoded(made) == [*start([*events, last]), *text_block(0)[:-1]]
    with pytest.raises(RequestError) as caught:
        stream.feed(loads(last.data))
    assert decoded([error_event(caught.value, request_id="req_1")]) == [
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    ]


def test_stream_does_not_start_before_there_is_something_to_show() -> None:
    stream = MessageStream()
    events = [loads(event.data) for event in answer(TEXT)]
    shown = next(number for number, event in enumerate(events) if "delta" in event)
    assert [made for event in events[:shown] for made in stream.feed(event)] == []
    assert stream.feed(events[shown])[0].name == "message_start"


PARTS = st.tuples(
    st.sampled_from(["text", "call", "thinking"]),
    st.lists(
        st.text(st.sampled_from('{}[]"\\:,1au é🌍\n'), max_size=4)
        | st.sampled_from(['{"a":', ' "b', '"}']),
        max_size=4,
    ),
)


@given(parts=st.lists(PARTS, max_size=4), cut=st.booleans(), thinking=st.booleans())
def test_stream_adds_up_to_the_message_for_any_cut_of_text_and_calls(
    parts: list[Part], cut: bool, thinking: bool
) -> None:
    events = answer(*parts, cut=cut)
    contents: list[Json] = []
    joined: list[str] = []
    opened = False
    for event in decoded(streamed(events, thinking=thinking)):
        match event["type"]:
            case "content_block_start":
                assert not opened
                contents.append(event["content_block"])
                joined.append("")
                opened = True
            case "content_block_delta":
                assert opened
                kind, piece = event["delta"].values()
                if kind == "signature_delta":
                    contents[-1]["signature"] = piece
                    continue
                assert kind == DELTAS[contents[-1]["type"]]
                joined[-1] += piece
            case "content_block_stop":
                opened = False
        assert event.get("index", len(contents) - 1) == len(contents) - 1
    assert not opened
    message = message_of(end_of(events), thinking=thinking)
    assert list(map(filled, contents, joined)) == message["content"]


DELTAS = {"text": "text_delta", "tool_use": "input_json_delta", "thinking": "thinking_delta"}


def filled(content: Json, joined: str) -> Json:
    if content["type"] != "tool_use":
        return content | {content["type"]: joined}
    try:  # as the SDK does
        value: Any = from_json(joined or "{}", allow_partial=True)
    except ValueError:
        value = None
    return content | {"input": value if isinstance(value, dict) else {"INVALID_JSON": joined}}
