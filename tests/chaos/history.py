"""The history of a run, as JSON lines: what clients did and saw, and what the database holds."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Op(StrEnum):
    """An operation of a client, or an observation."""

    RUN = "run"
    """Begins the history. `losses`: "" (the servers lose nothing), "some" or "everything".

    `earlier`: the commit that runs beside today's, if any.
    """
    ASK = "ask"
    """A new question: `prompt`, `expected`, `behaviour`, `previous`, `limit`, `ends_within_s`.

    `conversation`: the named conversation in which it is asked; the one before it there is
    `previous` then.
    """
    SUBMIT = "submit"
    """`response.create` is sent, perhaps again."""
    SEND_AHEAD = "send ahead"
    """`response.create` of the next question, `next`, is sent while this one is being answered."""
    RESUME = "resume"
    """`response.resume` is sent, `after` the last event that the client has."""
    CANCEL = "cancel"
    CANCEL_ANSWER = "cancel answer"
    """A frame that answers a cancellation, where the response's own end does not: `data`."""
    DROP = "drop"
    """The client closes its own connection, and comes back."""
    LEAVE = "leave"
    """The client closes its connection for good."""
    EVENT = "event"
    """A frame with an event: `data`."""
    ERROR = "error"
    """A frame with an error, the gateway's own frames included: `data`."""
    BROKEN = "broken"
    """The connection broke: `what`."""
    FORGOTTEN = "forgotten"
    """The client asked again and again for a response that the cloud does not know: `what`."""
    GIVE_UP = "give up"
    """The client waited for `ends_within_s` and saw no end."""
    REREAD = "reread"
    """`response.resume` of a response that has ended, `after` an event in its middle."""
    REREAD_END = "reread end"
    FAULT = "fault"
    """A fault that was brought about, for people: the checker does not read it."""
    ROW = "row"
    """A row of the table `responses`, in the end: `row`."""
    MISCOUNTED = "miscounted"
    """A conversation whose counters differ from its rows, in the end: `conversation_id`."""
    ITEMS = "items"
    """The items of a named conversation, in the end: `conversation_id`, and `items` or `error`."""
    LOG = "log"
    """The event log of `response_id`, in the end: `events`."""
    END = "end"
    """Ends the history of a run that was not interrupted: all rows are in it."""


_OWN = ("op", "at", "answer", "connection")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One line.

    Parameters
    ----------
    op : Op
        What was done or seen.
    at : float
        Unix time in seconds, by the clock of the clients.
    answer : str
        The question at which the client is: its name is the idempotency key.
    connection : str
        The client's connection; empty where none is meant.
    data : Mapping[str, Any]
        The other fields, as `Op` names them.
    """

    op: Op
    at: float
    answer: str = ""
    connection: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the line of JSON, without its end."""
        own = {name: getattr(self, name) for name in _OWN}
        return json.dumps({**own, **self.data}, ensure_ascii=False, default=str)

    @classmethod
    def parse(cls, line: str) -> "Record":
        """Return the record of a line.

        Raises
        ------
        ValueError
            It is no record.
        """
        value = json.loads(line)
        data = {name: found for name, found in value.items() if name not in _OWN}
        own = {name: value[name] for name in _OWN if name in value}
        return cls(**{**own, "op": Op(own["op"])}, data=data)

    def __str__(self) -> str:
        """Return the record for a person, without its time."""
        if self.op is Op.EVENT:
            return f"< {self.data['data'][:300]}"
        shown = (f"{name}={str(what)[:200]}" for name, what in self.data.items())
        return " ".join([f"* {self.op}", *shown])


class History:
    """Writes records to a file, and shows each to the one who observes them.

    Parameters
    ----------
    path : Path
        The new file.
    observe : Callable[[Record], None]
        Called with each record.
    """

    def __init__(self, path: Path, *, observe: Callable[[Record], None]) -> None:
        self._file = path.open("x", encoding="utf-8")
        self._observe = observe

    def add(self, op: Op, *, answer: str = "", connection: str = "", **data: Any) -> None:
        """Write a record of this moment."""
        record = Record(op=op, at=time.time(), answer=answer, connection=connection, data=data)
        self._file.write(record.line() + "\n")
        self._observe(record)

    def extend(self, records: Iterable[Record]) -> None:
        """Write records that were made elsewhere."""
        for record in records:
            self._file.write(record.line() + "\n")
            self._observe(record)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[Record]:
    """Return the records of a file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Record.parse(line)
