"""TextPart: a piece of text that grows inside an output item."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from axon.protocol.objects import Json, text_part
from axon.protocol.sizes import json_bytes, text_bytes

Draft = tuple[str, Json]
"""An event without its sequence number: its type, and its other fields in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartKind:
    """The names that the events of one kind of part have.

    Parameters
    ----------
    part : str
        Prefix of the events that begin and end the part.
    text : str
        Prefix of the events that carry its text.
    index : str
        The field that tells a part's place among its kind in the item.
    wire : Callable[[str], Json]
        Makes the part's JSON from its text.
    logprobs : bool
        Whether text events carry the list of log probabilities, which is always empty.
    """

    part: str
    text: str
    index: str
    wire: Callable[[str], Json]
    logprobs: bool = False


def _summary_text(text: str) -> Json:
    return {"type": "summary_text", "text": text}


def _reasoning_text(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


OUTPUT_TEXT = PartKind(
    part="response.content_part",
    text="response.output_text",
    index="content_index",
    wire=text_part,
    logprobs=True,
)
REASONING_TEXT = PartKind(
    part="response.content_part",
    text="response.reasoning_text",
    index="content_index",
    wire=_reasoning_text,
)
SUMMARY_TEXT = PartKind(
    part="response.reasoning_summary_part",
    text="response.reasoning_summary_text",
    index="summary_index",
    wire=_summary_text,
)


class _Step(IntEnum):
    """The last event that the part has given, but for deltas."""

    NONE = 0
    ADDED = 1
    TEXT_DONE = 2
    PART_DONE = 3


class TextPart:
    """One part: added -> delta* -> text done -> part done.

    Each method gives only the events that are still missing, so that a part which was rebuilt from
    a log continues behind the last logged event, whichever that was.

    Parameters
    ----------
    kind : PartKind
        Names of the part's events and fields.
    item_id : str
        Id of the item that the part belongs to.
    output_index : int
        Place of that item in the response's output, from 0.
    index : int
        The part's place among its kind in the item.
    """

    def __init__(self, kind: PartKind, *, item_id: str, output_index: int, index: int) -> None:
        self.kind = kind
        self.index = index
        self._place: Json = {
            "item_id": item_id,
            "output_index": output_index,
            kind.index: index,
        }
        self._step = _Step.NONE
        self._pieces: list[str] = []
        self.text_bytes = 0
        """Bytes of the text so far, as JSON."""

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self._pieces) > 1:
            # Joined once per reading, not once per delta: adding strings copies them each time.
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def size(self) -> int:
        """Bytes of the part as JSON."""
        return json_bytes(self.kind.wire("")) + self.text_bytes

    @property
    def begun(self) -> bool:
        """True if the part is shown in its item."""
        return self._step > _Step.NONE

    @property
    def closed(self) -> bool:
        """True if no event of the part follows."""
        return self._step is _Step.PART_DONE

    def wire(self) -> Json:
        """Return the part as its item shows it."""
        return self.kind.wire(self.text)

    def open(self) -> list[Draft]:
        """Begin the part, unless it has begun."""
        if self.begun:
            return []
        self._step = _Step.ADDED
        return [self._draft(f"{self.kind.part}.added", part=self.kind.wire(""))]

    def add(self, text: str) -> list[Draft]:
        """Begin the part if need be, and add text; an empty text makes no delta.

        Raises
        ------
        ValueError
            The text has ended.
        """
        if self._step > _Step.ADDED:
            raise ValueError("the part's text has ended")
        drafts = self.open()
        if text:
            self._append(text)
            drafts.append(self._text_draft("delta", delta=text))
        return drafts

    def close(self) -> list[Draft]:
        """End the text and the part."""
        drafts = self.open()
        if self._step < _Step.TEXT_DONE:
            drafts.append(self._text_draft("done", text=self.text))
        if self._step < _Step.PART_DONE:
            drafts.append(self._draft(f"{self.kind.part}.done", part=self.wire()))
        self._step = _Step.PART_DONE
        return drafts

    def replay(self, event: Json) -> None:
        """Follow one of the part's own events."""
        kind = event["type"]
        if kind == f"{self.kind.part}.added":
            self._step = _Step.ADDED
        elif kind == f"{self.kind.text}.delta":
            self._append(event["delta"])
        elif kind == f"{self.kind.text}.done":
            self._step = _Step.TEXT_DONE
        elif kind == f"{self.kind.part}.done":
            self._step = _Step.PART_DONE

    def _append(self, text: str) -> None:
        self._pieces.append(text)
        # Counted by the delta: to encode the whole text at each one would take quadratic time.
        self.text_bytes += text_bytes(text)

    def _text_draft(self, suffix: str, **fields: object) -> Draft:
        logprobs: Json = {"logprobs": []} if self.kind.logprobs else {}
        return self._draft(f"{self.kind.text}.{suffix}", **fields, **logprobs)

    def _draft(self, event_type: str, **fields: object) -> Draft:
        return event_type, {**self._place, **fields}
