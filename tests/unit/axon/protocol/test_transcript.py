from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript
from axon.serialization import loads
from tests.support.sdk_events import validate, validate_stream
from tests.unit.axon.samples import a_job

ERROR = {"code": "server_error", "message": "It broke."}
MAX_TOKENS = "max_output_tokens"


def kinds(events: list[LoggedEvent]) -> list[str]:
    return [loads(event.data)["type"].removeprefix("response.") for event in events]


def completed(*pieces: str, stream_id: str | None = None) -> list[list[LoggedEvent]]:
    """A whole answer, as the batches that a worker appends."""
    transcript = a_job(stream_id=stream_id).transcript()
    batches = [[transcript.created()], [transcript.in_progress()]]
    batches += [transcript.delta(piece, [number]) for number, piece in enumerate(pieces)]
    batches += [transcript.close_message()]
    batches += [[transcript.end(Status.COMPLETED, usage=Usage(3, len(pieces)))]]
    return batches


def flat(batches: list[list[LoggedEvent]]) -> list[LoggedEvent]:
    return [event for batch in batches for event in batch]


@pytest.mark.parametrize("stream_id", [None, "stream-7"])
def test_transcript_gives_the_events_of_a_completed_message(stream_id: str | None) -> None:
    events = flat(completed("Hel", "lo, ", "wörld 🌍", stream_id=stream_id))
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    response = validate_stream(events, stream_id=stream_id)[-1]["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "Hello, wörld 🌍"
    assert response["output"][0]["status"] == "completed"
    assert response["completed_at"] >= response["created_at"]
    assert response["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 6,
    }


def test_transcript_shows_the_response_as_it_is_at_each_event() -> None:
    decoded = validate_stream(flat(completed("hello")))
    assert [e["response"]["status"] for e in decoded if "response" in e] == [
        "queued",
        "in_progress",
        "completed",
    ]
    assert decoded[0]["response"]["output"] == decoded[1]["response"]["output"] == []


def test_transcript_closes_an_empty_message() -> None:
    decoded = validate_stream(flat(completed()))
    assert decoded[-1]["response"]["output"][0]["content"][0]["text"] == ""
    assert not [e for e in decoded if e["type"] == "response.output_text.delta"]


def test_transcript_ends_incomplete_at_max_output_tokens() -> None:
    transcript = a_job(max_output_tokens=2).transcript()
    events = [transcript.created(), transcript.in_progress(), *transcript.delta("1 2", [1, 2])]
    events += transcript.close_message(complete=False)
    events.append(transcript.end(Status.INCOMPLETE, usage=Usage(1, 2), reason=MAX_TOKENS))
    decoded = validate_stream(events)
    assert decoded[-1]["type"] == "response.incomplete"
    response = decoded[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["completed_at"] is None


@pytest.mark.parametrize("claimed", [False, True])
def test_transcript_fails_before_any_text(claimed: bool) -> None:
    transcript = a_job().transcript()
    events = [transcript.created(), *([transcript.in_progress()] if claimed else [])]
    events.append(transcript.end(Status.FAILED, error=ERROR))
    decoded = validate_stream(events)
    assert decoded[-1]["type"] == "response.failed"
    assert decoded[-1]["response"]["error"] == ERROR
    assert decoded[-1]["response"]["output"] == []


def test_transcript_keeps_the_text_of_a_failure() -> None:
    transcript = a_job().transcript()
    events = [transcript.created(), transcript.in_progress(), *transcript.delta("some", [1])]
    events.append(transcript.end(Status.FAILED, error=ERROR))
    response = validate_stream(events)[-1]["response"]
    assert response["status"] == "failed"
    assert response["output"][0]["status"] == "incomplete"


def test_transcript_is_cancelled_before_any_text() -> None:
    transcript = a_job().transcript()
    events = [transcript.created(), transcript.end(Status.CANCELLED)]
    decoded = validate_stream(events)
    assert decoded[-1]["type"] == "response.incomplete"
    assert decoded[-1]["response"]["status"] == "cancelled"


def test_transcript_closes_a_cancelled_message() -> None:
    transcript = a_job().transcript()
    events = [transcript.created(), transcript.in_progress(), *transcript.delta("some", [1])]
    events += transcript.close_message(complete=False)
    events.append(transcript.end(Status.CANCELLED))
    response = validate_stream(events)[-1]["response"]
    assert response["status"] == "cancelled"
    assert response["output"][0]["content"][0]["text"] == "some"


def test_transcript_of_a_warm_up_has_no_output() -> None:
    transcript = a_job(generate=False).transcript()
    events = [
        transcript.created(),
        transcript.in_progress(),
        transcript.end(Status.COMPLETED, usage=Usage()),
    ]
    response = validate_stream(events)[-1]["response"]
    assert response["output"] == []
    assert response["usage"]["total_tokens"] == 0


def test_transcript_shows_every_option() -> None:
    transcript = a_job(
        instructions="Be brief.",
        previous_response_id="resp_" + "0" * 32,
        max_output_tokens=5,
        max_tool_calls=1,
        temperature=0,
        top_p=0.5,
        presence_penalty=-1,
        frequency_penalty=1.5,
        top_logprobs=0,
        text={"format": {"type": "text"}, "verbosity": "low"},
        truncation="auto",
        tools=[
            {"type": "function", "name": "a", "parameters": {"type": "object"}, "strict": False},
            {"type": "function", "name": "b", "description": "B"},
        ],
        tool_choice="none",
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
        store=False,
        metadata={"key": "value"},
        service_tier="auto",
        safety_identifier="someone",
        prompt_cache_key="cache",
    ).transcript()
    response = validate(transcript.created().data)["response"]
    assert response["temperature"] == 0
    assert response["tools"][0]["strict"] is False
    assert response["tools"][1]["parameters"] == {}
    assert response["store"] is False
    assert response["parallel_tool_calls"] is False


def test_transcript_closes_a_message_once() -> None:
    transcript = a_job().transcript()
    transcript.delta("text", [1])
    assert transcript.close_message()
    assert transcript.close_message() == []


def test_transcript_keeps_token_ids_for_the_next_event() -> None:
    transcript = a_job().transcript()
    first = transcript.delta("a", [1])
    assert transcript.delta("", [2]) == []
    assert transcript.token_ids == [1, 2]
    closing = transcript.close_message()
    assert [event.token_ids for event in first + closing] == [(), (), (1,), (2,), (), ()]


def test_transcript_tells_how_the_message_ended() -> None:
    transcript = a_job().transcript()
    assert transcript.message_status is None
    transcript.delta("a", [1])
    assert transcript.message_status is None
    transcript.close_message(complete=False)
    assert transcript.message_status == "incomplete"


def finish(transcript: Transcript, pieces: list[str]) -> list[LoggedEvent]:
    """Return the events of a worker that continues a transcript to its end."""
    events: list[LoggedEvent] = []
    if transcript.message_status is None:
        for piece in pieces:
            events += transcript.delta(piece, [ord(character) for character in piece])
    events += transcript.close_message()
    events.append(transcript.end(Status.COMPLETED, usage=Usage(1, len(transcript.token_ids))))
    return events


@pytest.mark.parametrize("stream_id", [None, "stream-7"])
@pytest.mark.parametrize("cut", range(2, 7))
def test_transcript_continues_after_any_append_of_another_attempt(
    cut: int, stream_id: str | None
) -> None:
    job = a_job(stream_id=stream_id)
    first = job.transcript()
    batches = [[first.created()], [first.in_progress()]]
    pieces = ["Hel", "lo, ", "world"]
    batches += [first.delta(piece, [ord(c) for c in piece]) for piece in pieces]
    batches += [first.close_message()]
    log = flat(batches[:cut])
    second = job.transcript()
    second.replay(log)
    assert second.text == "".join(pieces[: max(cut - 2, 0)])
    decoded = validate_stream(log + finish(second, pieces[max(cut - 2, 0) :]), stream_id=stream_id)
    assert decoded[-1]["response"]["output"][0]["content"][0]["text"] == "Hello, world"
    assert second.token_ids == [ord(c) for c in "Hello, world"]


def test_transcript_replays_a_message_that_was_cut_short() -> None:
    job = a_job()
    first = job.transcript()
    log = [first.created(), first.in_progress(), *first.delta("one two", [1, 2])]
    log += first.close_message(complete=False)
    second = job.transcript()
    second.replay(log)
    assert second.message_status == "incomplete"
    end = second.end(Status.INCOMPLETE, usage=Usage(1, 2), reason=MAX_TOKENS)
    validate_stream([*log, end])


@given(
    chunks=st.lists(st.text(max_size=5), max_size=12),
    cuts=st.sets(st.integers(0, 11), max_size=4),
)
def test_transcript_is_whole_wherever_attempts_die(chunks: list[str], cuts: set[int]) -> None:
    job = a_job()
    log = [job.transcript().created()]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(chunks)), len(chunks)]
    for first, cut in pairwise(bounds):
        transcript = job.transcript()
        transcript.replay(log)
        if len(log) == 1:
            log.append(transcript.in_progress())
        for chunk in chunks[first:cut]:
            log += transcript.delta(chunk, [len(chunk)])
    log += transcript.close_message()
    log.append(transcript.end(Status.COMPLETED, usage=Usage()))
    decoded = validate_stream(log)
    assert decoded[-1]["response"]["output"][0]["content"][0]["text"] == "".join(chunks)


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "done"), ("object", "answer"), ("service_tier", "gold"), ("truncation", "some")],
)
def test_sdk_check_refuses_unknown_values(field: str, value: str) -> None:
    transcript = a_job().transcript()
    transcript.response[field] = value
    with pytest.raises(ValueError, match=field):
        validate(transcript.created().data)


def test_sdk_check_refuses_unknown_events_and_fields() -> None:
    transcript = a_job().transcript()
    created = transcript.created().data
    with pytest.raises(ValueError, match=r"ResponseCreatedEvent\.type"):
        validate(created.replace(b"response.created", b"response.made"))
    with pytest.raises(AssertionError, match="knows no"):
        validate(
            transcript.delta("a", [])[-1].data.replace(b'"logprobs"', b'"logprob":0,"logprobs"')
        )
    transcript.response["colour"] = "red"
    with pytest.raises(AssertionError):
        validate(transcript.created().data)
