"""Histories written by hand, for the checker's tests."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.answers import Fault
from tests.chaos.check import check
from tests.chaos.history import Op, Record
from tests.chaos.plans import Behaviour

Event = dict[str, Any]


class HistorySample:
    """A history in which each answer is whole; its records may then be changed.

    Parameters
    ----------
    losses : str
        See `Op.RUN`.
    """

    def __init__(self, *, losses: str = "") -> None:
        self.records: list[Record] = []
        self._at = 100.0
        self._words: dict[str, int] = {}
        self.add(Op.RUN, losses=losses)

    def add(self, op: Op, answer: str = "", **data: Any) -> None:
        """Add a record, a moment after the one before."""
        self._at += 0.1
        connection = f"{answer}/1" if answer else ""
        record = Record(op=op, at=self._at, answer=answer, connection=connection, data=data)
        self.records.append(record)

    def pause(self, seconds: float) -> None:
        """Move the time of the next record."""
        self._at += seconds

    def ask(self, name: str, text: str, **data: Any) -> None:
        """Add a question whose answer is its own text."""
        asked = {
            "prompt": text,
            "expected": text,
            "behaviour": Behaviour.READ,
            "previous": None,
            "limit": None,
            "ends_within_s": 60.0,
            "doomed": False,
        }
        self.add(Op.ASK, name, **{**asked, **data})
        self.add(Op.SUBMIT, name)

    def events(self, name: str, events: Sequence[Event], *, first: int = 0) -> list[str]:
        """Add events as they come; return their bytes."""
        frames = [
            json.dumps({**event, "sequence_number": number}, ensure_ascii=False)
            for number, event in enumerate(events, start=first)
        ]
        for frame in frames:
            self.add(Op.EVENT, name, data=frame)
        return frames

    def store(self, name: str, final: Event, frames: Sequence[str], **row: Any) -> None:
        """Add what the database and the log hold of an answer."""
        response_id = final["id"]
        kept = {"previous_response_id": None, "conversation_id": f"conv_{name}"}
        self.add(
            Op.ROW,
            row={"response_id": response_id, "status": final["status"], "response": final}
            | kept
            | row,
        )
        self.add(Op.LOG, response_id=response_id, events=list(frames))

    def answer(
        self,
        name: str,
        deltas: Sequence[str],
        *,
        status: str = "completed",
        resumed: int = 0,
        rereads: int | None = None,
        row: Mapping[str, Any] | None = None,
        earlier: int = 0,
        **asked: Any,
    ) -> None:
        """Add one whole answer.

        Parameters
        ----------
        resumed : int
            Number of the event after which its connection broke; 0 for none.
        rereads : int | None
            Number of the event after which its client reads it again.
        row : Mapping[str, Any] | None
            Other fields of its row.
        earlier : int
            Words of the conversation before it.
        """
        text = "".join(deltas)
        self.ask(name, text, **asked)
        words = len(text.split())
        final = response(name, text, status, input_tokens=earlier + words)
        events = [created(name), *(delta(name, part) for part in deltas), done(name, text)]
        events.append({"type": f"response.{status}", "response": final})
        frames = self.events(name, events[: resumed or None])
        if resumed:
            self.add(Op.BROKEN, name, what="closed")
            self.add(Op.RESUME, name, after=resumed - 1)
            frames += self.events(name, events[resumed:], first=resumed)
        if rereads is not None:
            self.add(Op.REREAD, name, after=rereads)
            self.events(name, events[rereads + 1 :], first=rereads + 1)
        self.store(name, final, frames, **(row or {}))

    def end(self) -> list[Record]:
        """Return the records, the last one added."""
        self.add(Op.END)
        return self.records


def faults(records: Sequence[Record]) -> set[Fault]:
    """Return the kinds of broken promises that the checker finds."""
    return {one.fault for one in check(records).broken}


def whole(**options: str) -> HistorySample:
    """Return a history of two answers, the second of which continues the first."""
    sample = HistorySample(**options)
    sample.answer("a", ["one", " two", " three"], resumed=2, rereads=1)
    earlier = {"previous_response_id": "resp_a", "conversation_id": "conv_a"}
    sample.answer("b", ["four", " five"], previous="a", earlier=6, row=earlier)
    return sample


def response(name: str, text: str, status: str, *, input_tokens: int) -> Event:
    """Return a response object."""
    return {
        "id": f"resp_{name}",
        "status": status,
        "output": [{"content": [{"type": "output_text", "text": text}]}],
        "usage": {"input_tokens": input_tokens, "output_tokens": len(text.split())},
        "error": {"code": "server_error", "message": "m"} if status == "failed" else None,
        "incomplete_details": None,
    }


def created(name: str) -> Event:
    """Return event 0."""
    return {"type": "response.created", "response": {"id": f"resp_{name}"}}


def delta(name: str, text: str) -> Event:
    """Return a delta."""
    return {"type": "response.output_text.delta", "item_id": f"msg_{name}", "delta": text}


def done(name: str, text: str) -> Event:
    """Return the event with the whole text."""
    return {"type": "response.output_text.done", "item_id": f"msg_{name}", "text": text}


def frames_of(records: Sequence[Record], answer: str) -> Iterator[int]:
    """Return where an answer's events are."""
    for index, record in enumerate(records):
        if record.op is Op.EVENT and record.answer == answer:
            yield index
