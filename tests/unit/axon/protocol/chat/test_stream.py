from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.event_log.log import Status
from axon.protocol.chat.errors import FailedResponseError
from axon.protocol.chat.result import completion_of
from axon.protocol.chat.stream import DONE, ChatStream
from axon.protocol.objects import Json
from axon.serialization import loads
from tests.unit.axon.protocol.chat.chat_samples import (
    COMPLETED,
    an_answer,
    chunks_of,
    data_of,
    end_of,
    ends,
    joined,
)
from tests.unit.axon.protocol.transcript_samples import (
    ITEM,
    Step,
    function_call,
    message,
    reasoning,
)

CUT = ends(Status.INCOMPLETE, reason="max_output_tokens")


def deltas(chunks: list[Json]) -> list[Json]:
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def test_stream_of_text_begins_with_the_role_and_ends_with_the_reason() -> None:
    events = an_answer(message("It ", "is 1."))
    chunks = chunks_of(events)
    assert deltas(chunks) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "It "},
        {"content": "is 1."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    response = end_of(events)
    for chunk in chunks:
        assert chunk | {"choices": None} == {
            "id": "chatcmpl-" + response["id"].removeprefix("resp_"),
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "echo",
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": None,
        }


def test_stream_of_calls_names_each_once_and_gives_its_arguments_in_pieces() -> None:
    events = an_answer(function_call('{"a":', "1}"), function_call("{}"))
    first, second = (item["call_id"] for item in end_of(events)["output"])

    def call(index: int, call_id: str) -> Json:
        function = {"name": "look_up", "arguments": ""}
        opened = {"index": index, "id": call_id, "type": "function", "function": function}
        return {"tool_calls": [opened]}

    def arguments(index: int, text: str) -> Json:
        return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}

    chunks = chunks_of(events)
    assert deltas(chunks) == [
        {"role": "assistant", "content": None, "refusal": None},
        call(0, first),
        arguments(0, '{"a":'),
        arguments(0, "1}"),
        call(1, second),
        arguments(1, "{}"),
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_stream_gives_each_argument_to_its_call_however_calls_alternate() -> None:
    """The log holds one item after the other today; the numbers must not depend on that."""
    stream = ChatStream()
    stream.feed(loads(an_answer()[0].data))
    added = "response.output_item.added"
    for place in (1, 3):
        item = {"type": "function_call", "name": "f", "call_id": f"call_{place}"}
        stream.feed({"type": added, "output_index": place, "item": item})
    data = [
        piece
        for place, text in [(3, "x"), (1, "y"), (3, "z")]
        for piece in stream.feed(
            {
                "type": "response.function_call_arguments.delta",
                "output_index": place,
                "delta": text,
            }
        )
    ]
    calls = [loads(each)["choices"][0]["delta"]["tool_calls"][0] for each in data]
    assert [(call["index"], call["function"]["arguments"]) for call in calls] == [
        (1, "x"),
        (0, "y"),
        (1, "z"),
    ]


def test_stream_shows_reasoning_text_and_no_summary() -> None:
    chunks = chunks_of(an_answer(reasoning("think", "Plan"), message("1")))
    assert joined(chunks) == {"content": "1", "reasoning_content": "think", "tool_calls": []}


def test_stream_ends_with_a_chunk_of_usage_where_that_is_asked_for() -> None:
    *chunks, last = chunks_of(an_answer(message("hi")), include_usage=True)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert all("usage" not in chunk for chunk in chunks_of(an_answer(message("hi"))))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (COMPLETED, "stop"),
        (CUT, "length"),
        (ends(Status.INCOMPLETE, reason="content_filter"), "content_filter"),
    ],
)
def test_stream_of_nothing_has_a_role_and_a_reason(end: Step, reason: str) -> None:
    first, last = chunks_of(an_answer(end=end))
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"][0]["finish_reason"] == reason


def test_stream_of_a_call_that_was_cut_short_ends_by_its_length() -> None:
    chunks = chunks_of(an_answer(function_call('{"a', complete=False), end=CUT))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(("complete", "arguments"), [(True, "{}"), (False, "")])
def test_stream_of_a_call_without_arguments_gives_an_empty_object(
    complete: bool, arguments: str
) -> None:
    events = an_answer(function_call(complete=complete), end=COMPLETED if complete else CUT)
    (call,) = joined(chunks_of(events))["tool_calls"]
    (shown,) = completion_of(end_of(events))["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == shown["function"]["arguments"] == arguments


def test_stream_gives_nothing_before_the_first_item() -> None:
    stream = ChatStream()
    assert [stream.feed(loads(event.data)) for event in an_answer()[:2]] == [[], []]


@pytest.mark.parametrize("texts", [(), ("It ",)])
def test_stream_of_a_failed_response_ends_with_its_error(texts: tuple[str, ...]) -> None:
    error = {"code": "context_length_exceeded", "message": "Too long."}
    failed = ends(Status.FAILED, error=error)
    *events, end = an_answer(*([message(*texts)] if texts else []), end=failed)
    stream = ChatStream()
    data = [each for event in events for each in stream.feed(loads(event.data))]
    assert len(data) == (2 if texts else 0)
    with pytest.raises(FailedResponseError) as caught:
        stream.feed(loads(end.data))
    assert (caught.value.status, caught.value.param) == (400, "input")


@given(
    items=st.lists(ITEM, max_size=5),
    end=st.sampled_from([COMPLETED, CUT]),
    include_usage=st.booleans(),
)
def test_stream_adds_up_to_the_answer_that_is_not_streamed(
    items: list[list[Step]], end: Step, include_usage: bool
) -> None:
    events = an_answer(*items, end=end)
    chunks = chunks_of(events, include_usage=include_usage)
    completion = completion_of(end_of(events))
    (choice,) = completion["choices"]
    whole = choice["message"]
    assert joined(chunks) == {
        "content": whole["content"] or "",
        "reasoning_content": whole.get("reasoning_content", ""),
        "tool_calls": whole.get("tool_calls", []),
    }
    if include_usage:
        assert chunks.pop()["usage"] == completion["usage"]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(reasons) - 1) + [choice["finish_reason"]]
    assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks].count("assistant") == 1
    assert all(a["id"] == b["id"] == completion["id"] for a, b in pairwise(chunks))


def test_stream_ends_once() -> None:
    assert data_of(an_answer(message("hi"))).count(DONE) == 1
