"""Answers as their clients saw them, built from the records of a history. No I/O."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.chaos.history import Op, Record
from tests.chaos.plans import Behaviour

RESUME_WINDOW_S = 12
"""Seconds for which the run's cloud keeps a response whose connection is gone."""
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class Fault(StrEnum):
    """A broken promise."""

    LOST = "lost"
    REPEATED = "repeated"
    SILENT = "silent"
    WRONG = "wrong"
    ENDED_TWICE = "ended twice"
    STORED = "stored differs from told"
    LIMIT = "over a limit"


@dataclass(frozen=True, slots=True)
class Received:
    """An event, when it came, and how many tokens the client then had."""

    at: float
    data: str
    tokens: int


@dataclass(kw_only=True)
class Answer:
    """One response: what was asked, what came, what its client did and met meanwhile.

    Parameters
    ----------
    name : str
        Of the client and the question; the idempotency key too.
    previous : Answer | None
        The answer that it continues.
    conversation : str
        Id of the named conversation in which it was asked.
    limit : int | None
        `max_output_tokens` of the request.
    ends_within_s : float
        Seconds from its first submission within which the client must learn of its end.
    doomed : bool
        Its job was taken away, so that its deadline ends it.
    unattended_s : float
        Seconds from its request, which was sent ahead on a connection that broke, until its client
        asked for it on another one.
    """

    name: str
    asked_at: float = 0.0
    submitted_at: float = 0.0
    prompt: str
    expected: str
    behaviour: Behaviour = Behaviour.READ
    previous: "Answer | None" = None
    conversation: str = ""
    stored_tokens: int | None = None
    """Number of tokens in the database, of an answer that its client did not see to its end."""
    limit: int | None = None
    ends_within_s: float = 0.0
    doomed: bool = False
    unattended_s: float = 0.0
    response_id: str = ""
    submits: int = 0
    events: list[Received] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    deltas: list[str] = field(default_factory=list)
    done_text: str | None = None
    tokens: int = 0
    final: dict[str, Any] | None = None
    final_type: str = ""
    ended_at: float = 0.0
    left: bool = False
    forgotten: str = ""
    """It is lost, and its client got an event that says so: this one."""
    gave_up: bool = False
    strays: list[str] = field(default_factory=list)
    """Events of responses that are no known answer's."""
    errors: list[str] = field(default_factory=list)
    trail: list[Record] = field(default_factory=list)
    irregular: list[tuple[Fault, str]] = field(default_factory=list)
    """Events that cannot come in this place."""
    _rereads: int | None = None

    @property
    def ended(self) -> bool:
        """True once its client waits for nothing more."""
        return bool(self.final or self.left or self.forgotten or self.gave_up or self.irregular)

    @property
    def status(self) -> str:
        """The response's status as its terminal event told it."""
        return "" if self.final is None else str(self.final["status"])

    @property
    def failed(self) -> bool:
        """True if the answer ended honestly in a failure."""
        return self.status == "failed"

    @property
    def continuable(self) -> bool:
        """True if another question can continue from here."""
        return self.status == "completed"

    @property
    def text(self) -> str:
        """The deltas that came, joined."""
        return "".join(self.deltas)

    @property
    def context(self) -> int:
        """Number of words before the next question of the conversation."""
        answered = self.tokens if self.stored_tokens is None else self.stored_tokens
        return self.input_tokens + answered

    @property
    def input_tokens(self) -> int:
        """Number of words of the prompt, all earlier turns included."""
        earlier = 0 if self.previous is None else self.previous.context
        return earlier + len(self.prompt.split())

    def reread(self, *, after: int) -> None:
        """Expect the events after this one a second time."""
        self._rereads = after + 1

    def reread_ended(self) -> None:
        """Expect nothing more."""
        self._rereads = None

    def receive(self, record: Record, event: Mapping[str, Any]) -> None:
        """Take an event of this response; note what is irregular about it."""
        number, due = event["sequence_number"], len(self.events)
        if self._rereads is not None:
            self._receive_again(number, record.data["data"])
        elif self.final is not None:
            twice = event["type"] in TERMINAL
            what = f"event {number} after the end: {event['type']}"
            self.irregular.append((Fault.ENDED_TWICE if twice else Fault.REPEATED, what))
        elif number != due:
            fault = Fault.REPEATED if number < due else Fault.LOST
            self.irregular.append((fault, f"event {number} where {due} was due"))
        else:
            self._learn(event)
            self.types.append(event["type"])
            self.events.append(Received(record.at, record.data["data"], self.tokens))
            self.ended_at = record.at

    def _receive_again(self, number: int, data: str) -> None:
        due = self._rereads
        if number != due:
            self.irregular.append((Fault.WRONG, f"event {number}, read again where {due} was due"))
        elif number >= len(self.events) or not equal(data, self.events[number].data):
            self.irregular.append((Fault.WRONG, f"event {number} is another one when read again"))
        self._rereads = None if number + 1 == len(self.events) else number + 1

    def _learn(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "response.output_text.delta":
                self.deltas.append(event["delta"])
                self.tokens += len(event["delta"].split())
            case "response.output_text.done":
                self.done_text = event["text"]
            case kind if kind in TERMINAL:
                self.final, self.final_type = event["response"], kind

    def news(self, *, after: float, tokens: int) -> float | None:
        """Return when the first event came that has more than these tokens, or none but is last."""
        return next(
            (
                event.at
                for event in self.events
                if event.at > after and (event.tokens > tokens or event is self.events[-1])
            ),
            None,
        )

    def transcript(self) -> str:
        """Return all that is known of it, for a person."""
        head = f"{self.name} {self.response_id} {self.behaviour} {self.prompt[:60]!r}"
        return "\n".join([head, *(f"  {record.at:.3f} {record}" for record in self.trail)])


class Observations:
    """All that the records of a history say.

    Parameters
    ----------
    trails : bool
        Keep each answer's records, for its transcript.
    """

    def __init__(self, *, trails: bool = True) -> None:
        self._trails = trails
        self.run: Mapping[str, Any] = {}
        self.answers: dict[str, Answer] = {}
        self.rows: dict[str, dict[str, Any]] | None = None
        self.logs: dict[str, list[str]] = {}
        self.miscounted: list[str] = []
        self.items: dict[str, list[list[str]] | None] = {}
        """The items of each named conversation; None if they could not be listed."""
        self.faults: list[Record] = []
        self._owners: dict[str, Answer] = {}
        self._sent_ahead: dict[str, Record] = {}

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Observations":
        """Return what the records say."""
        found = cls()
        for record in records:
            found.add(record)
        return found

    def add(self, record: Record) -> None:
        """Take the next record."""
        if record.op is Op.ASK:
            self._ask(record)
        if record.answer:
            answer = self.answers[record.answer]
            if self._trails:
                answer.trail.append(record)
            self._of_answer(record, answer)
        else:
            self._of_run(record)

    def _ask(self, record: Record) -> None:
        asked = dict(record.data)
        asked["previous"] = self.answers.get(asked.get("previous") or "")
        asked["behaviour"] = Behaviour(asked["behaviour"])
        self.answers[record.answer] = Answer(name=record.answer, asked_at=record.at, **asked)

    def _of_answer(self, record: Record, answer: Answer) -> None:
        match record.op:
            case Op.EVENT:
                self._event(record, answer)
            case Op.ERROR | Op.CANCEL_ANSWER:
                answer.errors.append(record.data["data"])
            case Op.SEND_AHEAD:
                self._sent_ahead[record.data["next"]] = record
            case Op.SUBMIT:
                self._submit(record, answer)
            case Op.LEAVE:
                answer.left = True
            case Op.FORGOTTEN:
                answer.forgotten = record.data["what"]
            case Op.GIVE_UP:
                answer.gave_up = True
            case Op.REREAD:
                answer.reread(after=record.data["after"])
            case Op.REREAD_END:
                answer.reread_ended()

    def _submit(self, record: Record, answer: Answer) -> None:
        sent = self._sent_ahead.pop(answer.name, None)
        if sent is not None and sent.connection != record.connection:
            answer.unattended_s = record.at - sent.at
        answer.submits += 1
        answer.submitted_at = answer.submitted_at or record.at

    def _of_run(self, record: Record) -> None:
        match record.op:
            case Op.RUN:
                self.run = record.data
            case Op.ROW:
                self.rows = self.rows or {}
                self.rows[record.data["row"]["response_id"]] = record.data["row"]
            case Op.LOG:
                self.logs[record.data["response_id"]] = record.data["events"]
            case Op.MISCOUNTED:
                self.miscounted.append(record.data["conversation_id"])
            case Op.ITEMS:
                self.items[record.data["conversation_id"]] = record.data.get("items")
            case Op.FAULT:
                self.faults.append(record)
            case Op.END:
                self.rows = self.rows or {}

    def _event(self, record: Record, current: Answer) -> None:
        """Give an event to the answer that it belongs to: that of its id, not of its connection."""
        event = json.loads(record.data["data"])
        owner = self._owner(event)
        if owner not in self._owners and not current.response_id and event["sequence_number"] == 0:
            current.response_id = event["response"]["id"]
            self._owners[owner] = current
        if owner in self._owners:
            self._owners[owner].receive(record, event)
        else:
            current.strays.append(record.data["data"])

    @staticmethod
    def _owner(event: Mapping[str, Any]) -> str:
        owner = event.get("response", {}).get("id") or event.get("item_id") or event["item"]["id"]
        return str(owner).partition("_")[2]


def equal(one: str, other: str) -> bool:
    """Return whether two events are the same; names of one that is made again have another order.

    See ADR 28: the database does not keep the order of names in a response object.
    """
    return one == other or bool(json.loads(one) == json.loads(other))
