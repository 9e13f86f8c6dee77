"""Answers as workers log them, and what the Messages API makes of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.anthropic.stream import MessageEvent, MessageStream
from axon.protocol.objects import Json, Usage
from axon.protocol.transcript import Transcript
from axon.serialization import loads
from tests.unit.axon.samples import a_job

USAGE = Usage(input_tokens=9, output_tokens=4, cached_tokens=6)
Part = tuple[str, Sequence[str]]
"""Kind of an item (``text``, ``call``, ``thinking``, ``summary``), and the pieces it grows by."""


def answer(
    *parts: Part, cut: bool = False, status: Status = Status.COMPLETED, **end: Any
) -> list[LoggedEvent]:
    """Return the events of an answer; `cut` leaves its last item open, as a terminator finds it."""
    transcript = a_job(store=False).transcript()
    events = transcript.first_events()
    for number, (kind, pieces) in enumerate(parts):
        events += _grown(transcript, kind, pieces)
        if not (cut and number == len(parts) - 1) and (item := transcript.open_item):
            events += transcript.log(item.close())
    return [*events, transcript.end(status, **({"usage": USAGE} | end))]


def _grown(transcript: Transcript, kind: str, pieces: Iterable[str]) -> list[LoggedEvent]:
    match kind:
        case "thinking" | "summary":
            reasoning = transcript.begin_reasoning()
            opened = reasoning.open()
            add = reasoning.add_text if kind == "thinking" else reasoning.add_summary
        case "call":
            call = transcript.begin_function_call("look_up")
            opened, add = call.open(), call.add_arguments
        case _:
            message = transcript.begin_message()
            opened, add = message.open(), message.add_text
    events = transcript.log(opened)
    return events + [event for piece in pieces for event in transcript.log(add(piece))]


def end_of(events: Sequence[LoggedEvent]) -> Json:
    """Return the response as the terminal event shows it."""
    response: Json = loads(events[-1].data)["response"]
    return response


def streamed(events: Iterable[LoggedEvent], *, thinking: bool = False) -> list[MessageEvent]:
    """Return the events of the message's stream."""
    stream = MessageStream(thinking=thinking)
    return [made for event in events for made in stream.feed(loads(event.data))]


def decoded(events: Sequence[MessageEvent]) -> list[Json]:
    """Return events as a client reads them."""
    read = [loads(event.data) for event in events]
    assert [event["type"] for event in read] == [event.name for event in events]
    return read
