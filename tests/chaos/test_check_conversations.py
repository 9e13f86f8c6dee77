"""The checker's judgement of named conversations, on histories that keep or break a promise."""

from typing import Any

import pytest

from tests.chaos.answers import Fault
from tests.chaos.check import check
from tests.chaos.history import Op
from tests.chaos.history_samples import HistorySample, created, delta, faults, response
from tests.chaos.plans import Behaviour

Items = list[tuple[str, str]]


class ConversationSample(HistorySample):
    """A history of one conversation; `items` are what it has in the end."""

    def __init__(self, *, losses: str = "") -> None:
        super().__init__(losses=losses)
        self.items: Items = []
        self._last: str | None = None
        self._context = 0

    def turn(self, name: str, text: str, *, status: str = "completed") -> None:
        """Add an answer; one that fails is no turn."""
        self.answer(
            name,
            [text],
            status=status,
            row=self._row(),
            earlier=self._context,
            conversation="conv_x",
            limit=len(text.split()) if status == "incomplete" else None,
            behaviour=Behaviour.CANCEL if status == "cancelled" else Behaviour.READ,
        )
        if status != "failed":
            self._add(name, text, text)

    def leave(self, name: str, seen: str, stored: str, *, status: str = "cancelled") -> None:
        """Add an answer whose client left after some text; the database has more of it."""
        text = "one two three"
        self.ask(name, text, conversation="conv_x", behaviour=Behaviour.LEAVE)
        frames = self.events(name, [created(name), delta(name, seen)])
        self.add(Op.LEAVE, name)
        final = response(name, stored, status, input_tokens=self._context + 3)
        self.store(name, final, [*frames, "more"], **self._row())
        self._add(name, text, stored)

    def list(self, items: Items | None = None) -> None:
        """Add the items."""
        shown = self.items if items is None else items
        self.add(Op.ITEMS, conversation_id="conv_x", items=[list(item) for item in shown])

    def _row(self) -> dict[str, Any]:
        previous = self._last and f"resp_{self._last}"
        return {"previous_response_id": previous, "conversation_id": "conv_x"}

    def _add(self, name: str, prompt: str, text: str) -> None:
        self.items += [("user", prompt), ("assistant", text)]
        self._last = name
        self._context += len(prompt.split()) + len(text.split())


def whole() -> ConversationSample:
    """Return a conversation of each kind of turn; its items are not listed yet."""
    sample = ConversationSample()
    sample.turn("a", "one two")
    sample.turn("b", "three", status="failed")
    sample.leave("c", "one", "one two")
    sample.turn("d", "four", status="incomplete")
    sample.turn("e", "five six")
    return sample


def test_check_finds_nothing_in_a_conversation_that_has_each_turn_once_in_order() -> None:
    sample = whole()
    sample.list()
    assert check(sample.end()).broken == ()


@pytest.mark.parametrize(
    ("items", "found"),
    [
        (lambda items: items[:-2], Fault.STORED),  # the last turn is missing
        (lambda items: items[:-1], Fault.STORED),  # its output
        (lambda items: items[1:], Fault.STORED),  # the first input
        (lambda items: items[2:4] + items[:2] + items[4:], Fault.STORED),  # another order
        (lambda items: items + items[-2:], Fault.STORED),  # a turn twice
        (lambda items: [*items[:-1], ("assistant", "five")], Fault.STORED),  # less than was seen
        (lambda items: [*items[:-2], ("user", "5"), items[-1]], Fault.STORED),  # another question
        (lambda items: [*items[:2], ("user", "three"), *items[2:]], Fault.STORED),  # it failed
        (lambda items: items[:2] + items[4:], Fault.STORED),  # it was cancelled with its text
        (lambda items: [*items, ("reasoning", "")], Fault.STORED),  # nobody's item
    ],
)
def test_check_finds_conversations_with_other_items(items: Any, found: Fault) -> None:
    sample = whole()
    sample.list(items(sample.items))
    assert faults(sample.end()) == {found}


def test_check_finds_conversations_that_cannot_be_listed() -> None:
    sample = whole()
    sample.add(Op.ITEMS, conversation_id="conv_x", error="503")
    assert faults(sample.end()) == {Fault.LOST}
    assert faults(whole().end()) == {Fault.LOST}


@pytest.mark.parametrize("before", ["resp_a", None])
def test_check_finds_a_turn_that_continues_another_one_than_the_last(before: str | None) -> None:
    sample = whole()
    sample.list()
    for record in sample.records:
        if record.op is Op.ROW and record.data["row"]["response_id"] == "resp_e":
            record.data["row"]["previous_response_id"] = before
    assert faults(sample.end()) == {Fault.STORED}


def test_check_finds_a_turn_that_is_not_in_its_conversation() -> None:
    sample = whole()
    sample.list()
    for record in sample.records:
        if record.op is Op.ROW and record.data["row"]["response_id"] == "resp_e":
            record.data["row"]["conversation_id"] = "conv_y"
    assert faults(sample.end()) == {Fault.STORED}


def test_check_accepts_a_turn_instead_of_a_failure_only_after_a_loss() -> None:
    for losses, found in (("", {Fault.STORED}), ("some", set())):
        sample = ConversationSample(losses=losses)
        sample.turn("a", "one two", status="failed")
        stored = response("a", "one two", "completed", input_tokens=2)
        for record in sample.records:
            if record.op is Op.ROW:
                record.data["row"].update(response=stored, status="completed")
        sample.list([("user", "one two"), ("assistant", "one two")])
        assert faults(sample.end()) == found


def test_check_accepts_a_locked_conversation_only_where_a_claim_may_be_left() -> None:
    for what, found in (
        ("kill front", set()),
        ("fail over valkey for 1 s", set()),
        ("kill worker-0", {Fault.LOST}),
    ):
        sample = ConversationSample()
        sample.turn("a", "one two")
        sample.add(Op.FAULT, what=what, hit={})
        sample.ask("b", "three", conversation="conv_x")
        sample.add(Op.FORGOTTEN, "b", what="conversation_locked: another response is running")
        sample.list()
        assert faults(sample.end()) == found
