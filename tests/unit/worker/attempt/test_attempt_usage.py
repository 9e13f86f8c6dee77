"""The source of the token counts in a response's usage."""

import asyncio

import pytest

from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import FencedError
from axon.protocol.objects import Usage
from axon.responses.terminator import OVERDUE
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt, until_logged
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import EngineError, FinishReason

COUNTED = Usage(input_tokens=7, output_tokens=9, cached_tokens=3)


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("estimated", [True, False])
async def test_usage_is_the_engines_own_if_it_reports_one(
    harness: AttemptHarness, finish: FinishReason, estimated: bool
) -> None:
    engine = ScriptedEngine(["a", "b"], finish=finish, usage=COUNTED, estimated=estimated)
    job = await harness.job(input="one two three")
    await attempt(job, harness.context(engine))
    assert (await harness.answered(job))[-1]["response"]["usage"] == COUNTED.wire()


async def test_usage_is_empty_if_the_prompt_was_estimated(harness: AttemptHarness) -> None:
    job = await harness.job(input="one two three")
    await attempt(job, harness.context(ScriptedEngine(["a", "b"], estimated=True)))
    response = (await harness.answered(job))[-1]["response"]
    assert (response["status"], response["usage"]) == ("completed", None)


SPENT = Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED])
@pytest.mark.parametrize("lost", [False, True])
async def test_usage_of_a_response_that_is_ended_from_outside_is_told_and_stored(
    harness: AttemptHarness, status: Status, lost: bool
) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(["a", "b", "c"])
    engine.pass_(1)
    running = asyncio.create_task(attempt(job, harness.context(engine), untouched=True))
    await until_logged(harness, job, count=5)
    if lost:  # and restored with the next flush
        harness.valkey.lose()
        await harness.begin()
    engine.pass_(1)
    await until_logged(harness, job, count=6)
    if status is Status.CANCELLED:
        await harness.terminator.end(job.response_id, Status.CANCELLED)
    else:
        await harness.terminator.end(job.response_id, status, error=OVERDUE)
    engine.pass_(1)
    with pytest.raises(FencedError):
        await running
    response = (await harness.answered(job))[-1]["response"]
    assert (response["status"], response["usage"]) == (status.value, SPENT.wire())
    assert harness.history.records[job.response_id].response["usage"] == SPENT.wire()


async def test_usage_of_a_response_that_its_attempt_fails_is_told_and_stored(
    harness: AttemptHarness,
) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(["a", "b", "c"], failures=[(2, EngineError("broken"))])
    assert await attempt(job, harness.context(engine)) is Status.FAILED
    response = (await harness.answered(job))[-1]["response"]
    assert response["usage"] == SPENT.wire()
    assert harness.history.records[job.response_id].response["usage"] == SPENT.wire()


@pytest.mark.parametrize("estimated", [False, True])
async def test_usage_of_a_response_that_fails_in_its_prefill_is_the_prompt_if_it_is_known(
    harness: AttemptHarness, estimated: bool
) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(["a"], failures=[(0, EngineError("broken"))], estimated=estimated)
    assert await attempt(job, harness.context(engine)) is Status.FAILED
    expected = None if estimated else Usage(input_tokens=3).wire()
    assert (await harness.answered(job))[-1]["response"]["usage"] == expected


async def test_usage_of_a_response_that_nobody_began_is_empty(harness: AttemptHarness) -> None:
    job = await harness.job(input="one two three")
    await harness.terminator.end(job.response_id, Status.CANCELLED)
    assert (await harness.answered(job))[-1]["response"]["usage"] is None


async def test_usage_of_several_attempts_counts_the_prompt_once(harness: AttemptHarness) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(["a", "b", "c"])
    engine.pass_(2)
    first = asyncio.create_task(attempt(job, harness.context(engine)))
    await until_logged(harness, job, count=6)
    first.cancel()
    assert await attempt(job, harness.context(ScriptedEngine(["a", "b", "c"]))) is Status.COMPLETED
    usage = (await harness.answered(job))[-1]["response"]["usage"]
    assert usage == Usage(input_tokens=3, output_tokens=3).wire()
    assert len(await harness.valkey.read_journal(job.response_id)) == 1


async def test_usage_that_the_engine_reported_survives_the_attempt(harness: AttemptHarness) -> None:
    """The worker dies between the last flush and the terminal event."""
    job = await harness.job(input="one two three")
    context = harness.context(ScriptedEngine(["a"], usage=COUNTED, estimated=True))
    harness.history.fail_with = KeyError("killed")
    with pytest.raises(KeyError):
        await attempt(job, context)
    harness.history.fail_with = None
    again = harness.context(ScriptedEngine(["never"], estimated=True))
    assert await attempt(job, again) is Status.COMPLETED
    assert (await harness.answered(job))[-1]["response"]["usage"] == COUNTED.wire()


async def test_usage_is_not_guessed_from_a_log_of_an_earlier_version(
    harness: AttemptHarness,
) -> None:
    job = await harness.job(input="one two three")
    claim = await harness.valkey.claim(job.response_id)
    transcript = job.transcript()
    transcript.replay(await harness.valkey.read(job.response_id))
    events: list[LoggedEvent] = [transcript.in_progress(), *transcript.delta("a", [100])]
    await harness.valkey.append(job.response_id, epoch=claim.epoch, events=events)
    await harness.terminator.end(job.response_id, Status.CANCELLED)
    assert (await harness.answered(job))[-1]["response"]["usage"] is None
