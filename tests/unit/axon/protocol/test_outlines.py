"""Outlines: a response and its outline give the events again, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, Status
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.protocol.outlines import MOST_BYTES, OutlineError, RemadeEvents
from axon.protocol.transcript import Transcript
from axon.serialization import dumps, loads
from tests.unit.axon.protocol.transcript_samples import ITEM, Step, flat, message, run, whole
from tests.unit.axon.samples import a_job


def failed(transcript: Transcript) -> list[LoggedEvent]:
    return [transcript.end(Status.FAILED, error={"code": "server_error", "message": "no"})]


def again(job: Job, transcript: Transcript, events: list[LoggedEvent]) -> list[LoggedEvent]:
    outline = transcript.outline.stored_with(job)
    assert outline is not None
    # As a database gives it back.
    outline, response = loads(dumps(outline)), loads(dumps(transcript.response))
    return list(RemadeEvents(response, outline, last=events[-1].sequence_number).since(0))


def answered(job: Job, *texts: str) -> tuple[Transcript, list[LoggedEvent]]:
    transcript = job.transcript()
    return transcript, [event for step in whole(message(*texts)) for event in step(transcript)]


@given(
    items=st.lists(ITEM, max_size=4),
    stream_id=st.sampled_from((None, "a")),
    fails=st.booleans(),
    data=st.data(),
)
def test_events_are_the_same_again(
    items: list[list[Step]], stream_id: str | None, fails: bool, data: st.DataObject
) -> None:
    job = a_job(stream_id=stream_id)
    steps = whole(*items)
    logged = flat(run(job, steps))[:-1]
    # Attempts go on behind any event, and an end may cut an item short anywhere.
    transcript = job.transcript()
    if fails:
        logged = logged[: data.draw(st.integers(2, len(logged)))]
    transcript.replay(logged)
    events = logged + (failed(transcript) if fails else steps[-1](transcript))
    remade = again(job, transcript, events)
    assert [event.data for event in remade] == [event.data for event in events]
    assert [event.sequence_number for event in remade] == list(range(len(events)))
    outline = transcript.outline.stored_with(job)
    assert outline is not None
    first = data.draw(st.integers(0, len(events) - 1))
    rest = RemadeEvents(transcript.response, outline, last=len(events) - 1).since(first)
    assert list(rest) == remade[first:]


def test_events_that_leave_instructions_out_do_so_again() -> None:
    job = a_job(instructions="x" * 131_000)
    transcript, events = answered(job, "a", "b")
    assert loads(events[0].data)["response"]["instructions"] is None
    assert [event.data for event in again(job, transcript, events)] == [e.data for e in events]


def test_outline_that_is_too_long_is_not_stored() -> None:
    job = a_job()
    short, _ = answered(job, *"a" * 1000)
    assert short.outline.stored_with(job) is not None
    long, _ = answered(job, *"a" * (MOST_BYTES // 2))
    assert long.outline.stored_with(job) is None


def test_events_of_views_have_their_additions_again() -> None:
    job = a_job()
    transcript = job.transcript()
    transcript.early_usage = Usage(input_tokens=7, cached_tokens=3)
    events = [*transcript.first_events(), *transcript.delta("a", [])]
    assert transcript.message is not None
    transcript.message.stop = "END"
    events += [*transcript.close_message(), transcript.end(Status.COMPLETED, usage=Usage(9, 1))]
    assert [loads(event.data).get("usage") for event in events][2]
    assert [event.data for event in again(job, transcript, events)] == [e.data for e in events]


@pytest.mark.parametrize("text", ["abcd", "ab", ""])
def test_outline_of_another_text_is_refused(text: str) -> None:
    job = a_job()
    transcript, events = answered(job, "a", "bc")
    transcript.response["output"][0]["content"][0]["text"] = text
    with pytest.raises(OutlineError):
        again(job, transcript, events)


@pytest.mark.parametrize("output", [[], [{"id": "fc_1", "type": "function_call"}]])
def test_outline_of_another_output_is_refused(output: list[object]) -> None:
    job = a_job()
    transcript, events = answered(job, "a")
    transcript.response["output"] = output
    with pytest.raises(OutlineError):
        again(job, transcript, events)


def test_outline_that_lacks_events_is_refused() -> None:
    """As after a failover: a failure has the number that its client expected."""
    job = a_job()
    transcript = job.transcript()
    transcript.first_events()
    transcript.next_sequence = 7
    with pytest.raises(OutlineError, match="2 events"):
        again(job, transcript, failed(transcript))
