"""Answers whose model is replaced or unloaded while they run."""

import asyncio
from dataclasses import replace

import pytest

from axon.event_log.log import Status
from axon.jobs import Job, ReceivedJob
from tests.support.virtual_time import now, run
from tests.unit.worker.attempt.attempt_harness import (
    AttemptHarness,
    outcome_of,
    text_of,
    until_logged,
)
from tests.unit.worker.models.engine_stub import Loadable, counted
from tests.unit.worker.settings_samples import FLUSH_POLICY
from worker.attempt.context import AttemptContext
from worker.engines.protocol import EngineDeadError
from worker.models.host import ModelHost
from worker.outcome import AttemptOutcome
from worker.shutdown import Shutdown

STOP_S = 3.0
TOKENS = 100


async def begun(
    harness: AttemptHarness, *, token_s: float, tokens: int = TOKENS
) -> tuple[Job, AttemptContext, ModelHost, "asyncio.Task[AttemptOutcome]"]:
    """An answer of a host's model that has been running for two seconds."""
    await harness.begin()
    job = await harness.job(input=f"count to {tokens}")
    host = ModelHost(slots=4, stop_timeout_s=STOP_S)
    await host.load("echo", 1, Loadable(token_s=token_s))
    context = harness.context(host, FLUSH_POLICY)
    running = asyncio.create_task(attempted(job, context))
    await asyncio.sleep(2.0)
    return job, context, host, running


async def attempted(job: Job, context: AttemptContext, *, receive_count: int = 1) -> AttemptOutcome:
    received = ReceivedJob(
        body="", receipt_handle="", receive_count=receive_count, message_id="message"
    )
    return await outcome_of(job, received, context=context)


@pytest.mark.parametrize("token_s", [0.02, 0.04, 0.06, 0.3])
def test_attempt_loses_and_repeats_nothing_when_its_model_is_replaced(token_s: float) -> None:
    async def story() -> None:
        harness = AttemptHarness()
        job, context, host, running = await begun(harness, token_s=token_s)
        new = Loadable(token_s=0.001)
        await host.load("echo", 2, new)
        await host.drain_unloaded()
        assert now() <= 2.0 + STOP_S + 0.01
        outcome = await running
        if TOKENS * token_s < 2.0 + STOP_S:
            assert outcome is AttemptOutcome.COMPLETED
            assert new.asked == []
        else:
            assert outcome is AttemptOutcome.RELEASED
            assert await attempted(job, context, receive_count=2) is AttemptOutcome.COMPLETED
            assert new.asked == ["inner"]
            assert harness.metric("axon_tokens_regenerated_total", model="echo") == 0
        decoded = await harness.answered(job)
        assert text_of(decoded) == counted(TOKENS)

    run(story())


def test_attempt_fails_the_response_when_its_model_was_unloaded_for_good() -> None:
    async def story() -> None:
        harness = AttemptHarness()
        job, context, host, running = await begun(harness, token_s=1.0)
        host.unload("echo")
        await host.drain_unloaded()
        assert await running is AttemptOutcome.RELEASED
        host.set_pending([])
        assert await attempted(job, context, receive_count=2) is AttemptOutcome.FAILED
        response = (await harness.answered(job))[-1]["response"]
        assert response["status"] == Status.FAILED.value
        assert "does not serve the model 'echo'" in response["error"]["message"]

    run(story())


def test_attempt_of_another_worker_that_serves_the_model_continues() -> None:
    async def story() -> None:
        harness = AttemptHarness()
        job, context, host, running = await begun(harness, token_s=0.1)
        host.unload("echo")
        await host.drain_unloaded()
        assert await running is AttemptOutcome.RELEASED
        other = ModelHost(slots=4, stop_timeout_s=STOP_S)
        await other.load("echo", 1, Loadable(token_s=0.1))
        context = replace(context, engine=other, shutdown=Shutdown())
        assert await attempted(job, context, receive_count=2) is AttemptOutcome.COMPLETED
        assert text_of(await harness.answered(job)) == counted(TOKENS)
        assert now() == pytest.approx(TOKENS * 0.1, abs=1.0)

    run(story())


def test_attempt_that_waits_for_a_slot_is_released_when_its_model_is_replaced() -> None:
    async def story() -> None:
        harness = AttemptHarness()
        job, context, host, running = await begun(harness, token_s=0.1)

        async def hold_slot() -> None:
            async with context.stages.infer.slot():
                await asyncio.sleep(60)

        holders = [asyncio.create_task(hold_slot()) for _ in range(3)]
        await asyncio.sleep(0)
        await harness.submit(input="hello")
        (late,) = harness.jobs_sent()
        waiting = asyncio.create_task(attempted(late, context))
        await asyncio.sleep(0.5)
        await host.load("echo", 2, Loadable(token_s=0.001))
        await host.drain_unloaded()
        assert await running is AttemptOutcome.RELEASED
        assert await waiting is AttemptOutcome.RELEASED
        for each in (job, late):
            assert await attempted(each, context, receive_count=2) is AttemptOutcome.COMPLETED
        assert text_of(await harness.answered(job)) == counted(TOKENS)
        assert text_of(await harness.answered(late)) == "hello"
        for task in holders:
            task.cancel()

    run(story())


def test_attempt_raises_the_death_of_a_hosted_engine() -> None:
    async def story() -> None:
        harness = AttemptHarness()
        job, _, host, running = await begun(harness, token_s=0.1)
        await host.close()
        with pytest.raises(EngineDeadError):
            await running
        await until_logged(harness, job, count=3)

    run(story())
