"""Chat Completions requests, and answers as their clients read them."""

from collections.abc import Iterable, Sequence
from typing import Any

from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.chat.stream import DONE, ChatStream
from axon.protocol.objects import Json, Usage
from axon.serialization import loads
from tests.unit.axon.protocol.transcript_samples import Step, flat, run, whole
from tests.unit.axon.samples import a_job

USER: Json = {"role": "user", "content": "hi"}
BODY: Json = {"model": "echo", "messages": [USER]}
USAGE = Usage(input_tokens=7, output_tokens=5, cached_tokens=3)
_CHUNK = TypeAdapter(ChatCompletionChunk)


def ends(status: Status, **fields: Any) -> Step:
    return lambda transcript: [transcript.end(status, **fields)]


COMPLETED = ends(Status.COMPLETED, usage=USAGE)


def an_answer(*items: Sequence[Step], end: Step = COMPLETED) -> list[LoggedEvent]:
    """Return the log of a response with these items."""
    return flat(run(a_job(), whole(*items, end=end)))


def end_of(events: Sequence[LoggedEvent]) -> Json:
    """Return the response as its last event shows it."""
    response: Json = loads(events[-1].data)["response"]
    return response


def data_of(events: Iterable[LoggedEvent], **options: Any) -> list[bytes]:
    """Return the data of the SSE events that a stream makes of a log."""
    stream = ChatStream(**options)
    return [data for event in events for data in stream.feed(loads(event.data))]


def chunks_of(events: Iterable[LoggedEvent], **options: Any) -> list[Json]:
    """Return the chunks of a stream that ends well, checked against the SDK's own types."""
    data = data_of(events, **options)
    assert data.pop() == DONE
    for each in data:
        assert b"\n" not in each
        if b'"custom":{' not in each:  # of these the SDK's type of chunks says nothing
            _CHUNK.validate_json(each, strict=True)
    return [loads(each) for each in data]


def joined(chunks: Iterable[Json]) -> Json:
    """Return the message that a client joins from the deltas of the choices."""
    message: Json = {"content": "", "reasoning_content": "", "tool_calls": []}
    for chunk in chunks:
        for choice in chunk["choices"]:
            _join(message, choice["delta"])
    return message


def _join(message: Json, delta: Json) -> None:
    for name in ("content", "reasoning_content"):
        message[name] += delta.get(name) or ""
    for part in delta.get("tool_calls", ()):
        kind, field = ("custom", "input") if "custom" in part else ("function", "arguments")
        if part["index"] == len(message["tool_calls"]):
            message["tool_calls"].append({kind: {field: ""}})
        call = message["tool_calls"][part["index"]]
        call[kind] |= part[kind] | {field: call[kind][field] + part[kind][field]}
        call |= {name: part[name] for name in ("id", "type") if name in part}
