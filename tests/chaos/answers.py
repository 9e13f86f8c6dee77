"""Answers as their clients see them, and what is wrong with them."""

import json
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.chaos.plans import Behaviour, Plan

TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class Fault(StrEnum):
    """A broken promise."""

    LOST = "lost"
    REPEATED = "repeated"
    SILENT = "silent"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Received:
    """An event, when it came, and how many tokens the client then had."""

    at: float
    data: bytes
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
    """

    name: str
    plan: Plan
    previous: "Answer | None"
    response_id: str = ""
    events: list[Received] = field(default_factory=list)
    deltas: list[str] = field(default_factory=list)
    tokens: int = 0
    final: dict[str, Any] | None = None
    acted: bool = False
    left: bool = False
    refused: bool = False
    """It is lost, and its client got an event that says so."""
    trail: list[tuple[float, str]] = field(default_factory=list)
    faults: list[tuple[Fault, str]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """True once the answer has ended."""
        return self.final is not None or self.left or self.refused or bool(self.faults)

    @property
    def status(self) -> str:
        """The response's status as its terminal event told it."""
        return "" if self.final is None else self.final["status"]

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
        return self.input_tokens + self.tokens

    @property
    def input_tokens(self) -> int:
        """Number of words of the prompt, all earlier turns included."""
        earlier = 0 if self.previous is None else self.previous.context
        return earlier + len(self.plan.prompt.split())

    def note(self, what: str) -> None:
        """Remember what the client did or met."""
        self.trail.append((time.time(), what))

    def blame(self, fault: Fault, what: str) -> None:
        """Note a broken promise."""
        self.faults.append((fault, what))
        self.note(f"{fault}: {what}")

    def receive(self, data: bytes, event: dict[str, Any]) -> None:
        """Take the next event of a response, which must be this one's next."""
        number, due = event["sequence_number"], len(self.events)
        if self.final is not None or not self._is_own(event):
            self.blame(Fault.REPEATED, f"event {number} of another, or after the end")
        elif number != due:
            fault = Fault.REPEATED if number < due else Fault.LOST
            self.blame(fault, f"event {number} where {due} was due: {data[:200]!r}")
        else:
            self._learn(event)
            self.events.append(Received(time.time(), data, self.tokens))

    def _is_own(self, event: dict[str, Any]) -> bool:
        if event["type"] == "response.created" and not self.response_id:
            self.response_id = event["response"]["id"]
        owner = event.get("response", {}).get("id") or event.get("item_id") or event["item"]["id"]
        return bool(owner.partition("_")[2] == self.response_id.partition("_")[2])

    def _learn(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "response.output_text.delta":
                self.deltas.append(event["delta"])
                self.tokens += len(event["delta"].split())
            case "response.output_text.done" if event["text"] != self.text:
                self.blame(Fault.WRONG, f"the text that is done is not the deltas': {event}")
            case kind if kind in TERMINAL:
                self.final = event["response"]
                self._check_end(event["response"])

    def _check_end(self, final: dict[str, Any]) -> None:
        text = "".join(part["text"] for item in final["output"] for part in item["content"])
        if not self.failed and text != self.text:
            self.blame(Fault.WRONG, f"the final text is not the deltas': {text!r}")
        if not self.plan.expected.startswith(self.text):
            self.blame(Fault.WRONG, "the text is not the beginning of what was expected")
        match self.status:
            case "completed":
                self._check_completed(final["usage"])
            case "cancelled" if self.plan.behaviour is not Behaviour.CANCEL:
                self.blame(Fault.LOST, "nobody asked to cancel it")
            case "incomplete":
                self.blame(Fault.LOST, f"{final['incomplete_details']}")

    def _check_completed(self, usage: dict[str, Any]) -> None:
        if self.text != self.plan.expected:
            self.blame(Fault.LOST, "the text ends too early")
        tokens = (usage["input_tokens"], usage["output_tokens"])
        if tokens != (self.input_tokens, self.tokens):
            self.blame(Fault.WRONG, f"usage {tokens}, with {self.input_tokens} words before")

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
        lines = [
            *((event.at, f"< {event.data.decode()[:300]}") for event in self.events),
            *((at, f"* {what}") for at, what in self.trail),
        ]
        head = f"{self.name} {self.response_id} {self.plan.behaviour} {self.plan.prompt[:60]!r}"
        return "\n".join([head, *(f"  {at:.3f} {line}" for at, line in sorted(lines))])


def decode(data: bytes) -> dict[str, Any]:
    """Return a frame's JSON object."""
    value: dict[str, Any] = json.loads(data)
    return value
