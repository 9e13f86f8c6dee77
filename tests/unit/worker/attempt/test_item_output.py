"""Answers as items: the same ones however the answer is cut, and wherever its attempts die."""

from itertools import chain, repeat
from typing import Any

import pytest

from axon.event_log.log import LoggedEvent, Status
from axon.jobs import Job
from axon.serialization import loads
from tests.support.sdk_events import validate_items
from tests.unit.axon.samples import a_job
from tests.unit.worker.attempt.attempt_harness import AttemptHarness
from tests.unit.worker.attempt.item_output_harness import ItemHarness, MemoryLog, shown
from tests.unit.worker.parsers.answer_corpus import TOOLS, Answer, corpus
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.parsers.answer_format import AnswerFormat

HERMES = AnswerFormat(calls="hermes", reasoning="think")
CALL = '<tool_call>{"name": "now", "arguments": {"a": 1}}</tool_call>'
FAMILIES = ("hermes", "mistral", "deepseek", "coder", "harmony")


def job(**fields: Any) -> Job:
    return a_job(tools=TOOLS, **fields)


def expected(answer: Answer) -> list[tuple[str, ...]]:
    items: list[tuple[str, ...]] = [("reasoning", answer.reasoning)] if answer.reasoning else []
    items += [("message", answer.text)] if answer.text else []
    items += [("function_call", *call) for call in answer.calls]
    return items if answer.text or answer.calls else [*items, ("message", "")]


def simple(log: MemoryLog) -> list[tuple[str, ...]]:
    items = shown(log)
    assert all(item["status"] == "completed" for item in items)
    return [
        ("function_call", item["name"], item["arguments"])
        if item["type"] == "function_call"
        else (item["type"], "".join(part["text"] for part in item["content"]))
        for item in items
    ]


@pytest.mark.parametrize("family", FAMILIES)
async def test_items_are_the_same_however_the_answer_is_flushed(family: str) -> None:
    context = AttemptHarness().context(ScriptedEngine())
    for answer in (each for each in corpus() if each.family == family):
        harness = ItemHarness(job(), answer.form, answer.tokens, context=context)
        every = len(answer.tokens)
        whole, single = harness.log(), harness.log()
        output = await harness.run(whole, repeat(every + 1))
        assert simple(whole) == expected(answer)
        await harness.run(single, repeat(1))
        # All places are cut in one answer or another: they differ by a few characters at a time.
        logs = [single]
        for cut in range(1 + every % 13, every, 13):
            log = harness.log()
            again = await harness.run(log, chain([cut], repeat(every)))
            assert again.reasoning_tokens == output.reasoning_tokens
            logs.append(log)
        assert all(shown(log) == shown(whole) for log in logs)
        end = harness.job.transcript()
        end.replay(single.events)
        validate_items([*single.events, end.end(Status.COMPLETED)])


@pytest.mark.parametrize("family", FAMILIES)
async def test_attempts_that_die_behind_any_flush_give_the_same_events(family: str) -> None:
    context = AttemptHarness().context(ScriptedEngine())
    for number, answer in enumerate(each for each in corpus() if each.family == family):
        harness = ItemHarness(job(), answer.form, answer.tokens, context=context)
        size = 3 + number % 5
        whole = harness.log()
        output = await harness.run(whole, repeat(size))
        for border in whole.borders:
            log = whole.cut(border, with_lost_records=False)
            again = await harness.run(log, repeat(size))
            assert log.events == whole.events
            assert usage(log) == usage(whole)
            assert again.reasoning_tokens in (output.reasoning_tokens, 0)


@pytest.mark.parametrize("family", FAMILIES)
async def test_attempts_that_find_half_a_flush_give_the_rest_of_it(family: str) -> None:
    """As when a worker dies while it gives a log again what a failover has lost."""
    context = AttemptHarness().context(ScriptedEngine())
    answers = [each for each in corpus() if each.family == family][::3]
    for number, answer in enumerate(answers):
        harness = ItemHarness(job(), answer.form, answer.tokens, context=context)
        size = 15 + number % 30
        whole = harness.log()
        await harness.run(whole, repeat(size))
        for count in range(2, len(whole.events)):
            log = whole.cut(count, with_lost_records=True)
            await harness.run(log, repeat(size))
            assert without_ids(log.events) == without_ids(whole.events)
            # And once more: records that were left of lost flushes mislead nobody.
            other = whole.cut(count, with_lost_records=True)
            await harness.run(other, repeat(3))
            later = other.cut(count + (len(other.events) - count) // 2, with_lost_records=True)
            await harness.run(later, repeat(size))
            assert shown(later) == shown(whole)


def without_ids(events: list[LoggedEvent]) -> list[bytes]:
    return [event.data for event in events]


def usage(log: MemoryLog) -> Any:
    return loads([record.data for record in log.journal if record.kind == "usage"][-1])
