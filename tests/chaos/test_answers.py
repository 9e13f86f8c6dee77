"""A client notices every broken promise: what it is given is what the promises are about."""

import json
from typing import Any

import pytest

from tests.chaos.answers import Answer, Fault, decode
from tests.chaos.plans import Behaviour, Plan

ID = "resp_1"
PLAN = Plan(
    prompt="one two", expected="one two", behaviour=Behaviour.READ, deltas=0, away_s=0,
    abrupt=False, continues=False,
)  # fmt: skip


def response(text: str, status: str = "completed", **fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 2, "output_tokens": len(text.split())}
    output = [{"content": [{"type": "output_text", "text": text}]}]
    return {"id": ID, "status": status, "output": output, "usage": usage, **fields}


Event = dict[str, Any]
CREATED: Event = {"type": "response.created", "response": {"id": ID}}
ONE: Event = {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "one"}
TWO: Event = {"type": "response.output_text.delta", "item_id": "msg_1", "delta": " two"}
DONE: Event = {"type": "response.output_text.done", "item_id": "msg_1", "text": "one two"}
END: Event = {"type": "response.completed", "response": response("one two")}
WHOLE = [CREATED, ONE, TWO, DONE, END]


def received(*events: dict[str, Any], numbers: list[int] | None = None) -> Answer:
    answer = Answer(name="a", plan=PLAN, previous=None)
    for number, event in zip(numbers or range(len(events)), events, strict=False):
        data = json.dumps({**event, "sequence_number": number}).encode()
        answer.receive(data, decode(data))
    return answer


def test_answer_that_is_whole_keeps_every_promise() -> None:
    answer = received(*WHOLE)
    assert (answer.ended, answer.faults, answer.text) == (True, [], "one two")
    assert answer.continuable
    assert (answer.input_tokens, answer.context) == (2, 4)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (received(*WHOLE, numbers=[0, 1, 3]), Fault.LOST),
        (received(*WHOLE, numbers=[0, 1, 1]), Fault.REPEATED),
        (received(*WHOLE, END), Fault.REPEATED),
        (received(CREATED, {**ONE, "item_id": "msg_2"}), Fault.REPEATED),
        (received(CREATED, ONE, DONE), Fault.WRONG),
        (received(CREATED, ONE, END), Fault.WRONG),
        (received(CREATED, {**ONE, "delta": "three"}, END), Fault.WRONG),
        (received(CREATED, ONE, {**END, "response": response("one")}), Fault.LOST),
        (received(CREATED, {**END, "response": response("", "cancelled")}), Fault.LOST),
        (received(CREATED, ONE, TWO, {**END, "response": response("one two", usage={
            "input_tokens": 3, "output_tokens": 2})}), Fault.WRONG),
    ],
)  # fmt: skip
def test_answer_check_finds_each_broken_promise(answer: Answer, fault: Fault) -> None:
    assert fault in {found for found, _ in answer.faults}
    assert ID in answer.transcript()


def test_answer_may_end_in_an_honest_failure() -> None:
    failed = {"type": "response.failed", "response": response("", "failed")}
    answer = received(CREATED, ONE, failed)
    assert (answer.failed, answer.faults) == (True, [])


def test_answer_news_is_what_dead_workers_had_not_generated() -> None:
    answer = received(*WHOLE)
    assert answer.news(after=0, tokens=1) == answer.events[2].at
    assert answer.news(after=0, tokens=5) == answer.events[-1].at
    assert answer.news(after=answer.events[-1].at, tokens=0) is None
