"""Responses of several items: their events, and attempts that go on behind any of them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.transcript import Transcript
from axon.serialization import dumps, loads
from tests.support.sdk_events import validate_items
from tests.unit.axon.protocol.transcript_samples import (
    ITEM,
    Step,
    flat,
    function_call,
    message,
    reasoning,
    run,
    whole,
)
from tests.unit.axon.samples import a_job


def kinds(events: Sequence[LoggedEvent]) -> list[str]:
    return [loads(event.data)["type"].removeprefix("response.") for event in events]


def test_transcript_numbers_several_items_by_output_index() -> None:
    steps = whole(
        reasoning("think", "Plan"), function_call('{"a":', "1}"), message("It ", "is 1."), message()
    )
    output = validate_items(flat(run(a_job(), steps)))
    assert [item["type"] for item in output] == ["reasoning", "function_call", "message", "message"]
    assert output[1]["arguments"] == '{"a":1}'
    assert output[2]["content"][0]["text"] == "It is 1."
    assert [item["id"].partition("_")[0] for item in output] == ["rs", "fc", "msg", "msg"]


def test_transcript_refuses_a_second_open_item() -> None:
    transcript = a_job().transcript()
    transcript.log(transcript.begin_message().open())
    with pytest.raises(ValueError, match="has not ended"):
        transcript.begin_reasoning()


def test_transcript_shows_no_item_that_gave_no_event() -> None:
    transcript = a_job().transcript()
    transcript.begin_message()
    assert loads(transcript.end(Status.FAILED).data)["response"]["output"] == []


def test_transcript_cuts_the_open_item_short() -> None:
    transcript = a_job().transcript()
    transcript.log(transcript.begin_reasoning().add_text("think"))
    assert kinds(transcript.cut_short()) == [
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert transcript.cut_short() == []
    transcript.log(transcript.begin_message().open())
    assert transcript.cut_short() == []


def test_transcript_gives_the_first_event_of_a_batch_the_token_ids() -> None:
    transcript = a_job().transcript()
    call = transcript.begin_function_call("f", call_id="call_1")
    assert transcript.log([], [1]) == []
    events = transcript.log(call.add_arguments("{}"), [2, 3])
    assert [event.token_ids for event in events] == [(1, 2, 3), ()]
    assert transcript.token_ids == [1, 2, 3]


@given(items=st.lists(ITEM, max_size=4), data=st.data())
def test_transcript_goes_on_behind_any_event_as_if_uninterrupted(
    items: list[list[Step]], data: st.DataObject
) -> None:
    job, steps = a_job(), whole(*items)
    batches = run(job, steps)
    events = flat(batches)
    validate_items(events)
    cut = data.draw(st.integers(1, len(events) - 1), label="events in the log")
    # The step in whose events the log breaks off is taken again; steps before it were whole.
    done = next(n for n in range(len(steps)) if len(flat(batches[: n + 1])) > cut)
    log = events[:cut]
    transcript = job.transcript()
    transcript.replay(log)
    continued = [event for step in steps[done:] for event in step(transcript)]
    assert [event.data for event in log + continued] == [event.data for event in events]


def test_transcript_refuses_to_replay_an_unknown_type_of_item() -> None:
    event = {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "ws_1", "type": "web_search_call"},
    }
    transcript = Transcript(a_job().response)
    with pytest.raises(ValueError, match="'web_search_call'"):
        transcript.replay([LoggedEvent(2, dumps(event))])
