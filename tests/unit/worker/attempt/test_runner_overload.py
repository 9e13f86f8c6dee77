"""JobRunner with a full stage: delayed and shed jobs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from axon.event_log.log import Status
from axon.jobs import ReceivedJob
from tests.support.eventually import eventually
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.worker.attempt.attempt_harness import (
    DEAD,
    AttemptHarness,
    attempt,
    outcome_of,
    text_of,
)
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.context import AttemptContext
from worker.attempt.endings import OVERLOADED
from worker.engines.protocol import EngineDeadError
from worker.outcome import AttemptOutcome
from worker.pipeline.stage import Stage


def received(times: int) -> ReceivedJob:
    return ReceivedJob(body="", receipt_handle="", receive_count=times, message_id="message")


@asynccontextmanager
async def full(stage: Stage, *, priority: int = 0) -> AsyncGenerator[None, None]:
    """Fill a stage: its runners and its queue."""
    going = asyncio.Event()

    async def wait() -> None:
        async with stage.slot(priority):
            await going.wait()

    tasks = []
    while not (stage.busy and stage.depth):
        tasks.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)
    yield
    going.set()
    await asyncio.gather(*tasks, return_exceptions=True)


def small(harness: AttemptHarness, engine: ScriptedEngine) -> AttemptContext:
    return harness.context(engine, queue_retrieve=1, queue_assemble=1, queue_infer=1)


@pytest.mark.parametrize("name", ["retrieve", "assemble", "infer"])
class TestRunnerWithFullStage:
    async def test_delays_the_job_for_another_attempt(
        self, harness: AttemptHarness, name: str
    ) -> None:
        job = await harness.job()
        harness.clock_ms = job.created_ms
        engine = ScriptedEngine(["a"])
        context = small(harness, engine)
        async with full(getattr(context.stages, name)):
            assert await outcome_of(job, received(1), context=context) is AttemptOutcome.DELAYED
        assert await harness.status(job.response_id) is Status.IN_PROGRESS
        assert harness.metric("axon_requests_shed_total", stage=name, reason="released") == 1
        assert harness.metric("axon_inference_tokens_total", kind="input", model="echo") is None
        assert await outcome_of(job, received(2), context=context) is AttemptOutcome.COMPLETED
        assert text_of(await harness.answered(job)) == "a"

    @pytest.mark.parametrize(
        ("receives", "left_s", "reason"), [(3, 600, "receives"), (1, 1.5, "deadline")]
    )
    async def test_fails_the_response_on_the_last_attempt(
        self, harness: AttemptHarness, name: str, receives: int, left_s: float, reason: str
    ) -> None:
        job = await harness.job()
        harness.clock_ms = job.deadline_ms(DEADLINE_S) - int(left_s * 1000)
        engine = ScriptedEngine(["a"])
        context = small(harness, engine)
        async with full(getattr(context.stages, name)):
            assert await outcome_of(job, received(receives), context=context) is AttemptOutcome.SHED
        decoded = await harness.answered(job)
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"] == OVERLOADED
        assert harness.history.records[job.response_id].response == decoded[-1]["response"]
        assert harness.metric("axon_requests_shed_total", stage=name, reason=reason) == 1
        assert harness.metric("axon_requests_shed_total", stage=name, reason="released") == 0
        assert engine.requests == []


async def test_shed_response_keeps_its_unstored_parent_for_a_retry(
    harness: AttemptHarness,
) -> None:
    first = await harness.job(store=False)
    engine = ScriptedEngine(["a"])
    await attempt(first, harness.context(engine))
    second = await harness.job(store=False, previous_response_id=first.response_id)
    harness.clock_ms = second.created_ms
    context = small(harness, engine)
    async with full(context.stages.infer):
        assert await outcome_of(second, received(3), context=context) is AttemptOutcome.SHED
    again = await harness.job(store=False, previous_response_id=first.response_id)
    assert await attempt(again, context) is Status.COMPLETED


async def test_priority_job_takes_the_place_of_an_ordinary_one(harness: AttemptHarness) -> None:
    waiting, urgent = await harness.job(), await harness.job(service_tier="priority")
    harness.clock_ms = waiting.created_ms
    context = small(harness, ScriptedEngine(["a"]))
    stage = context.stages.infer
    tasks: list[asyncio.Task[AttemptOutcome]] = []

    async def hold() -> None:
        async with stage.slot():
            for job in (waiting, urgent):
                tasks.append(asyncio.create_task(outcome_of(job, received(1), context=context)))
                await eventually(lambda: stage.depth == 1)
            await eventually(tasks[0].done)

    async def wait(event: asyncio.Event) -> None:
        async with stage.slot():
            await event.wait()

    slots = [asyncio.create_task(hold())]
    others = [asyncio.Event() for _ in range(3)]
    slots += [asyncio.create_task(wait(event)) for event in others]
    await slots[0]
    for event in others:
        event.set()
    assert await asyncio.gather(*tasks) == [AttemptOutcome.DELAYED, AttemptOutcome.COMPLETED]
    await asyncio.gather(*slots)


async def test_continued_answer_goes_before_all_new_ones(
    harness: AttemptHarness,
) -> None:
    job = await harness.job(service_tier="flex")
    harness.clock_ms = job.created_ms
    engine = ScriptedEngine(["one ", "two"], failures=[(1, DEAD)], token_s=0.001)
    with pytest.raises(EngineDeadError):
        await attempt(job, harness.context(engine))
    context = small(harness, engine)
    async with full(context.stages.infer, priority=1):
        running = asyncio.create_task(outcome_of(job, received(2), context=context))
        await eventually(lambda: context.stages.retrieve.running == 0)
        await asyncio.sleep(0.01)
        assert not running.done()
    assert await running is AttemptOutcome.COMPLETED
    assert text_of(await harness.answered(job)) == "one two"


async def test_job_that_waits_for_a_slot_is_released_when_the_worker_drains(
    harness: AttemptHarness,
) -> None:
    job = await harness.job()
    harness.clock_ms = job.created_ms
    engine = ScriptedEngine(["a"])
    context = harness.context(engine)
    async with full(context.stages.infer):
        running = asyncio.create_task(outcome_of(job, received(1), context=context))
        await eventually(lambda: context.stages.infer.depth == 2)
        harness.shutdown.drain()
        assert await running is AttemptOutcome.RELEASED
        assert context.stages.infer.depth == 1
    assert engine.requests == []
