"""Attempts at responses that no connection waits for."""

import asyncio

from axon.event_log.log import Status
from axon.jobs import Job, ReceivedJob
from tests.support.virtual_time import run
from tests.unit.axon.samples import MODEL
from tests.unit.worker.attempt.attempt_harness import (
    AttemptHarness,
    attempt,
    outcome_of,
    text_of,
    until_logged,
)
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.endings import LOST
from worker.outcome import AttemptOutcome

RECEIVED_AGAIN = ReceivedJob(body="", receipt_handle="", receive_count=2, message_id="message")


async def a_followed_job(harness: AttemptHarness, *, store: bool = True) -> Job:
    """Return the job of a response that is open; no relay runs."""
    await harness.valkey.directory.register((MODEL,), retention_s=10_000)
    return await harness.job(connection_id="", store=store)


async def test_attempt_keeps_nothing_of_a_followed_response_that_is_not_stored() -> None:
    harness = AttemptHarness()
    for store in (True, False):
        job = await a_followed_job(harness, store=store)
        context = harness.context(ScriptedEngine(["done"]))
        assert await attempt(job, context, untouched=True) is Status.COMPLETED
        assert text_of(await harness.answered(job)) == "done"
        assert (job.response_id in harness.turns.turns) is store
        assert (job.response_id in harness.history.records) is store


async def test_attempt_restores_a_followed_response_without_a_relay() -> None:
    harness = AttemptHarness()
    job = await a_followed_job(harness)
    engine = ScriptedEngine(["a ", "b"])
    engine.pass_(1)
    running = asyncio.create_task(attempt(job, harness.context(engine), untouched=True))
    await until_logged(harness, job, count=5)
    harness.valkey.lose()
    engine.pass_(1)
    assert await running is Status.COMPLETED
    assert text_of(await harness.answered(job)) == "a b"
    meta = await harness.valkey.describe(job.response_id)
    assert meta is not None
    assert meta.followed


def test_attempt_goes_on_where_a_failover_has_cut_a_followed_response() -> None:
    """It waits for no relay: each follower that is ahead ends behind the fork."""
    run(_go_on(AttemptHarness()))


async def _go_on(harness: AttemptHarness) -> None:
    job = await a_followed_job(harness)
    dead = await harness.say(job.response_id, "one ")
    before = harness.valkey.snapshot()
    await dead.append(dead.transcript.delta("lost", [1]))
    harness.valkey.rewind(before)
    context = harness.context(ScriptedEngine(["one ", "two"]))
    assert await outcome_of(job, RECEIVED_AGAIN, context=context) is AttemptOutcome.COMPLETED
    assert text_of(await harness.answered(job)) == "one two"
    meta = await harness.valkey.describe(job.response_id)
    assert meta is not None
    assert meta.forks


def test_attempt_answers_no_followed_response_a_second_time() -> None:
    run(_fail_ended(AttemptHarness()))


async def _fail_ended(harness: AttemptHarness) -> None:
    job = await a_followed_job(harness)
    before = harness.valkey.snapshot()
    context = harness.context(ScriptedEngine(["told"]))
    assert await outcome_of(job, RECEIVED_AGAIN, context=context) is AttemptOutcome.COMPLETED
    stored = harness.history.records[job.response_id]
    harness.valkey.rewind(before)
    context = harness.context(ScriptedEngine(["other"]))
    assert await outcome_of(job, RECEIVED_AGAIN, context=context) is AttemptOutcome.FAILED
    assert (await harness.answered(job))[-1]["response"]["error"] == LOST
    assert harness.history.records[job.response_id] == stored
