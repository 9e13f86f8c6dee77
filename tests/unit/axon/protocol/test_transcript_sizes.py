"""Whatever is asked and answered, each event fits into a message of API Gateway (ADR 21)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import RequestError
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.protocol.output_items.function_call import FunctionCallItem
from axon.protocol.output_items.message import MessageItem
from axon.protocol.output_items.reasoning import ReasoningItem
from axon.protocol.sizes import END_BYTES, MESSAGE_BYTES, TEXT_BYTES
from axon.protocol.transcript import Transcript
from axon.responses.finisher import FinishedResponse
from axon.responses.request_size import check_size
from axon.serialization import loads
from tests.unit.axon.samples import a_job

# A number that is as long as any.
USAGE = Usage(10**9, 10**9, 10**9)
PATTERNS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@dataclass(frozen=True)
class Repeated:
    """A long text in few words, as a failing example shows it."""

    pattern: str
    characters: int

    def __str__(self) -> str:
        return (self.pattern * self.characters)[: self.characters]


def texts(*characters: int) -> st.SearchStrategy[Repeated]:
    """Return texts of these lengths and a few short ones: any characters, repeated."""
    return st.builds(Repeated, PATTERNS, st.sampled_from([1, 50, *characters]))


TOOLS = st.builds(
    lambda description, count: [
        {"type": "function", "name": f"f{n}", "description": description} for n in range(count)
    ],
    texts(900),
    st.sampled_from([1, 100, 128]),
)
METADATA = st.dictionaries(st.text("ab", max_size=64), texts(512), max_size=16)
FORMAT = {"type": "json_schema", "name": "n"}
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "instructions": texts(20_000, 131_000),
        "tools": TOOLS,
        "metadata": METADATA,
        "stream_id": texts(64),
        "text": texts(60_000).map(
            lambda text: {"format": FORMAT | {"schema": {"description": text}}}
        ),
    },
)
CHUNKS = st.lists(texts(30_000, 130_000), max_size=4)
ENDS = st.sampled_from([Status.COMPLETED, Status.INCOMPLETE, Status.CANCELLED, Status.FAILED])


def written_out(value: Any) -> Any:
    match value:
        case Repeated():
            return str(value)
        case dict():
            return {name: written_out(each) for name, each in value.items()}
        case list():
            return [written_out(each) for each in value]
    return value


def accepted(fields: dict[str, Any]) -> Job | None:
    job = a_job(**written_out(fields))
    try:
        check_size(job, job.transcript())
    except RequestError:
        return None
    return job


def ended(transcript: Transcript, status: Status, *, error: str = "") -> LoggedEvent:
    failed = status is Status.FAILED
    return transcript.end(
        status,
        usage=USAGE,
        reason="max_output_tokens" if status is Status.INCOMPLETE else None,
        error={"code": "server_error", "message": error} if failed else None,
    )


def longest(events: Sequence[LoggedEvent]) -> int:
    return max(len(event.data) for event in events)


@settings(max_examples=60, deadline=None)
@given(REQUESTS, CHUNKS, ENDS, st.booleans(), PATTERNS)
def test_transcript_has_no_event_that_a_message_cannot_carry(
    fields: dict[str, Any], chunks: list[Repeated], status: Status, resumed: bool, error: str
) -> None:
    if (job := accepted(fields)) is None:
        return
    transcript = job.transcript()
    events = transcript.first_events()
    delivered = ""
    for chunk in map(str, chunks):
        text = transcript.fitting(chunk)
        events += transcript.delta(text, [1])
        delivered += text
        if resumed:  # a later attempt, or a terminator
            transcript = job.transcript()
            transcript.replay(events)
        if text != chunk:
            break
    if status is not Status.FAILED:
        events += transcript.close_message(complete=status is Status.COMPLETED)
    events.append(ended(transcript, status, error=error * 500))
    assert longest(events) <= MESSAGE_BYTES
    generated = "".join(map(str, chunks))
    assert generated.startswith(delivered)
    # Nothing is left out without need.
    assert delivered == generated or longest(events) > MESSAGE_BYTES - END_BYTES - 1_500
    shown = [loads(event.data) for event in events]
    assert "".join(each.get("delta", "") for each in shown) == delivered
    dones = [each["text"] for each in shown if each["type"] == "response.output_text.done"]
    assert dones == ([] if status is Status.FAILED else [delivered])
    assert shown[-1]["response"]["usage"] == USAGE.wire()
    finished = FinishedResponse(
        job=job,
        response=transcript.response,
        event=events[-1],
        epoch=1,
        status=status,
        outline=transcript.outline,
    )
    assert len(finished.unstored().event.data) <= MESSAGE_BYTES
    # The history has what an event leaves out.
    assert finished.record(ended_ms=1).response["instructions"] == job.response["instructions"]


@settings(max_examples=30, deadline=None)
@given(
    REQUESTS,
    st.lists(st.tuples(st.sampled_from("rsfm"), texts(20_000, 60_000)), min_size=1, max_size=6),
    ENDS,
)
def test_transcript_of_several_items_has_no_event_that_a_message_cannot_carry(
    fields: dict[str, Any], steps: list[tuple[str, Repeated]], status: Status
) -> None:
    if (job := accepted(fields)) is None:
        return
    transcript = job.transcript()
    events = transcript.first_events()
    for kind, repeated in steps:
        chunk = str(repeated)
        text = transcript.fitting(chunk)
        events += _added(transcript, kind, text)
        if text != chunk:
            break
    if item := transcript.open_item:
        events += transcript.log(item.close(complete=False))
    events += transcript.close_message()
    events.append(ended(transcript, status))
    assert longest(events) <= MESSAGE_BYTES
    again = job.transcript()
    again.replay(events)
    assert again.room == transcript.room


def _added(transcript: Transcript, kind: str, text: str) -> list[LoggedEvent]:
    """Add text to the open item if it is of this kind, else to a new one."""
    kinds = {"r": ReasoningItem, "s": ReasoningItem, "f": FunctionCallItem, "m": MessageItem}
    item = transcript.open_item
    closing = transcript.log(item.close()) if item and not isinstance(item, kinds[kind]) else []
    item = transcript.open_item
    match kind:
        case "f":
            call = item or transcript.begin_function_call("f" * 128, call_id="c" * 64)
            assert isinstance(call, FunctionCallItem)
            return closing + transcript.log(call.add_arguments(text))
        case "m":
            message = item or transcript.begin_message()
            assert isinstance(message, MessageItem)
            return closing + transcript.log(message.add_text(text))
        case _:
            thoughts = item or transcript.begin_reasoning()
            assert isinstance(thoughts, ReasoningItem)
            add = thoughts.add_text if kind == "r" else thoughts.add_summary
            return closing + transcript.log(add(text))


def test_transcript_shows_instructions_wherever_they_fit() -> None:
    transcript = a_job(instructions="i" * 100_000).transcript()
    events = transcript.first_events()
    events += transcript.delta(transcript.fitting("x" * 40_000), [1])
    events += transcript.close_message()
    events.append(transcript.end(Status.COMPLETED, usage=USAGE))
    shown = [loads(event.data) for event in events]
    assert [each["response"]["instructions"] for each in shown[:2]] == ["i" * 100_000] * 2
    assert shown[-1]["response"]["instructions"] is None
    assert shown[-1]["response"]["output"][0]["content"][0]["text"] == "x" * 40_000
    assert transcript.response["instructions"] == "i" * 100_000


def test_transcript_has_room_for_any_text_where_messages_have_no_limit() -> None:
    job = a_job(instructions="i" * 131_000).model_copy(update={"message_bytes": None})
    transcript = job.transcript()
    assert transcript.room is None
    assert transcript.fitting("x" * 300_000) == "x" * 300_000
    assert loads(transcript.created().data)["response"]["instructions"] == "i" * 131_000


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        (
            "tools",
            {
                "tools": [
                    {"type": "function", "name": f"f{n}", "description": "d" * 950}
                    for n in range(125)
                ],
                "instructions": "i" * 5_000,
            },
        ),
        (
            "text.format",
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "schema": {"description": "d" * 125_000},
                    }
                }
            },
        ),
        (
            "metadata",
            {
                "metadata": {f"k{n}": "\x00" * 512 for n in range(16)},
                "tools": [
                    {"type": "function", "name": f"f{n}", "description": "d" * 300}
                    for n in range(128)
                ],
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "schema": {"description": "d" * 37_000},
                    }
                },
            },
        ),
    ],
)
def test_check_size_names_what_is_too_large_and_by_how_much(
    param: str, fields: dict[str, Any]
) -> None:
    job = a_job(**fields)
    room = job.transcript().room
    assert room is not None
    with pytest.raises(RequestError) as refused:
        check_size(job, job.transcript())
    assert (refused.value.code, refused.value.param) == ("request_too_large", param)
    assert f"'{param}' is too large" in refused.value.message
    assert f"{TEXT_BYTES - room:,} too many" in refused.value.message


def test_check_size_accepts_any_input_and_instructions() -> None:
    job = a_job(input="\x00" * 131_072, instructions="\x00" * 131_072)
    check_size(job, job.transcript())
