"""Outlines: what a response does not say of its events, to make them again once they are gone.

A response has all text; its outline has the order of the events and the length of each delta.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from axon.event_log.log import LoggedEvent
from axon.protocol.objects import STOP_SEQUENCE, Json, encoded, terminal_type, with_stream_id
from axon.protocol.output_items.text_part import OUTPUT_TEXT, REASONING_TEXT, SUMMARY_TEXT, PartKind
from axon.protocol.sizes import json_bytes
from axon.serialization import dumps

MOST_BYTES = 256 * 1024
"""The longest outline, as JSON, that is kept. A record has its request and answer, 650 KB at most,
and this in a message of 1 MiB; 85,000 deltas take as much."""

Step = int | list[Any]
"""The length of a delta in characters, or an event's type, output index, part index and usage.

A type that ends with ``.delta`` is no event: it says where the deltas after it belong.
"""

_BEGUN: Json = {
    "output": [],
    "usage": None,
    "error": None,
    "incomplete_details": None,
    "completed_at": None,
}
"""Values of a response that has begun, of the fields that its end changes."""
_STATUS = {"response.created": "queued", "response.in_progress": "in_progress"}
_ARGUMENTS = {
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
"""Fields of a call that grow, by the beginnings of their events' types."""


class Origin(Protocol):
    """The part of a job that decides about the form of its events.

    See `axon.protocol.transcript.Transcript`.
    """

    @property
    def stream_id(self) -> str | None:
        """Stream id of the request."""
        ...

    @property
    def message_bytes(self) -> int | None:
        """The longest event that the client's connection carries; None if any."""
        ...


class OutlineError(ValueError):
    """An outline does not belong to the response that it is kept with."""


@dataclass(slots=True)
class Outline:
    """The outline of one response's events, without the terminal one; it grows with them."""

    steps: list[Step] = field(default_factory=list)
    _place: list[Any] = field(default_factory=list)

    def stored_with(self, origin: Origin, *, forks: str = "") -> Json | None:
        """Return the outline as the database keeps it; None if it is too long.

        Parameters
        ----------
        origin : Origin
            The response's job.
        forks : str
            Numbers from which readers may have had other events (`axon.event_log.log`).
        """
        if json_bytes(self.steps) > MOST_BYTES:
            return None
        names = {"stream_id": origin.stream_id, "message_bytes": origin.message_bytes}
        return {"steps": self.steps, "forks": forks, **names}

    def note(self, event_type: str, fields: Mapping[str, Any]) -> None:
        """Add an event."""
        place = [event_type, fields.get("output_index"), _index(fields)]
        if not event_type.endswith(".delta"):
            usage = fields.get("usage")  # the response has only what it was at the end
            self.steps.append(place if usage is None else [*place, usage])
            return
        if place != self._place:
            self._place = place
            self.steps.append(place)
        self.steps.append(len(fields["delta"]))


class RemadeEvents:
    """The events of a response again, number for number and delta for delta.

    They are made as they are read, one by one: together they are several times as long as the
    response with its outline.

    Parameters
    ----------
    response : Json
        The response as its terminal event shows it.
    outline : Json
        As `Outline.stored_with` returned it.
    last : int
        Sequence number of its terminal event.

    Raises
    ------
    OutlineError
        They would be other events than the first time.
    """

    def __init__(self, response: Json, outline: Json, *, last: int) -> None:
        self.response = response
        self._last = last
        try:
            self._steps: list[Step] = outline["steps"]
            self._stream_id: str | None = outline["stream_id"]
            self._message_bytes: int | None = outline["message_bytes"]
            self._check()
        except (LookupError, TypeError) as error:
            raise OutlineError("the outline names what the response does not have") from error

    def since(self, first: int) -> Iterator[LoggedEvent]:
        """Return the events from a sequence number on."""
        number = 0
        for step, text in self._walk():
            if isinstance(step, int):
                delta = text.advance(step)
                if number >= first:
                    yield self._event(number, text.event_type, text.fields(delta=delta))
            elif number >= first:
                yield self._event(number, step[0], self._draft(*step))
            number += 1
        end = terminal_type(self.response["status"])
        yield self._event(number, end, {"response": self.response})

    def _check(self) -> None:
        """Raise unless the steps are as many as the events, and have all text; make no event."""
        count, texts = 0, set[_TextOf]()
        for step, text in self._walk():
            count += 1
            if isinstance(step, int):
                text.advance(step)
                texts.add(text)
            else:
                self._draft(*step)
        if count != self._last:
            raise OutlineError(f"{count} events in place of {self._last}")
        if any(text.read != len(text.whole) for text in texts):
            raise OutlineError("the deltas have not all text of the response")

    def _walk(self) -> Iterator[tuple[Step, "_TextOf"]]:
        """Return each event's step, and for a delta its text."""
        texts: dict[tuple[Any, ...], _TextOf] = {}
        text = _NO_TEXT
        for step in self._steps:
            if isinstance(step, list) and step[0].endswith(".delta"):
                place = tuple(step)
                text = texts.get(place) or texts.setdefault(place, _TextOf(self.response, *step))
            else:
                yield step, text

    def _event(self, number: int, event_type: str, fields: Json) -> LoggedEvent:
        event = {"type": event_type, "sequence_number": number, **fields}
        event = with_stream_id(event, self._stream_id)
        # Only an event with the response may leave anything out, and only such a one is too long.
        data = (
            encoded(event, message_bytes=self._message_bytes)
            if "response" in event
            else dumps(event)
        )
        return LoggedEvent(number, data)

    def _draft(
        self, event_type: str, output_index: Any, index: Any, usage: Json | None = None
    ) -> Json:
        """Return an event that is no delta, without its type and number."""
        if event_type in _STATUS:
            return {"response": self.response | _BEGUN | {"status": _STATUS[event_type]}}
        item = self.response["output"][output_index]
        if event_type.startswith("response.output_item."):
            shown = _begun(item) if event_type.endswith(".added") else item
            early: Json = {} if usage is None else {"usage": usage}
            return {"output_index": output_index, "item": shown} | early
        text = _TextOf(self.response, event_type, output_index, index)
        if "_part." in event_type:
            part = text.kind.wire("" if event_type.endswith(".added") else text.whole)
            return text.place | {"part": part}
        return text.fields(**{text.name: text.whole})


class _TextOf:
    """One text of a response: of a part, or a call's arguments.

    Parameters
    ----------
    response : Json
        The response.
    event_type : str
        Type of an event of the text.
    output_index, index : int
        Place of its item, and of the part among those of its kind in the item.

    Raises
    ------
    LookupError
        The response has no such text.
    """

    def __init__(self, response: Json, event_type: str, output_index: Any, index: Any) -> None:
        self.event_type = event_type
        self.read = 0
        item = response["output"][output_index]
        self.place: Json = {"item_id": item["id"], "output_index": output_index}
        self.name = "text"
        if name := _ARGUMENTS.get(event_type.rpartition(".")[0]):
            self.name, self.whole = name, str(item[name])
            self._more: Json = {}
            return
        self.kind = _kind_of(item, event_type)
        self.place |= {self.kind.index: index}
        parts = item["summary"] if self.kind is SUMMARY_TEXT else item["content"]
        self.whole = str(parts[index]["text"])
        self._more = {"logprobs": []} if self.kind.logprobs else {}

    def advance(self, length: int) -> str:
        """Return the text of the delta that follows those before.

        Raises
        ------
        OutlineError
            The text has not as many characters.
        """
        begin = self.read
        self.read += length
        if not begin < self.read <= len(self.whole):
            raise OutlineError("a delta has more text than the response")
        return self.whole[begin : self.read]

    def fields(self, **fields: str) -> Json:
        """Return the fields of an event that carries text."""
        return {**self.place, **fields, **self._more}


def _kind_of(item: Json, event_type: str) -> PartKind:
    if event_type.startswith("response.reasoning_summary_"):
        return SUMMARY_TEXT
    return REASONING_TEXT if item["type"] == "reasoning" else OUTPUT_TEXT


def _begun(item: Json) -> Json:
    """Return an item as the event that begins it shows it."""
    empty: Json = {"summary": [], "content": [], "status": "in_progress"}
    empty |= dict.fromkeys(_ARGUMENTS.values(), "")
    shown = {name: empty.get(name, value) for name, value in item.items()}
    shown.pop(STOP_SEQUENCE, None)
    return shown


def _index(fields: Mapping[str, Any]) -> int | None:
    """Return the place of a part among those of its kind, for an event of a part."""
    found: int | None = fields.get(OUTPUT_TEXT.index, fields.get(SUMMARY_TEXT.index))
    return found


_NO_TEXT = _TextOf(
    {"output": [{"id": "", "arguments": ""}]}, "response.function_call_arguments.delta", 0, None
)
"""Stands for the text before the first place of a delta: it has none, so a delta is refused."""
