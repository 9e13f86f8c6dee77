"""What becomes of a job for which a stage has no room."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from axon.event_log.log import Status
from axon.jobs import ReceivedJob
from tests.support.eventually import eventually
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.worker.attempt.attempt_harness import DEAD, Workplace, attempt, text_of
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.attempt.context import AttemptContext
from worker.attempt.endings import OVERLOADED
from worker.attempt.runner import JobRunner
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


def small(world: Workplace, engine: ScriptedEngine) -> AttemptContext:
    return world.services(engine, queue_retrieve=1, queue_assemble=1, queue_infer=1)


@pytest.mark.parametrize("name", ["retrieve", "assemble", "infer"])
class TestFull:
    async def test_another_attempt_follows(self, world: Workplace, name: str) -> None:
        job = await world.job()
        world.clock_ms = job.created_ms
        engine = ScriptedEngine(["a"])
        services = small(world, engine)
        async with full(getattr(services.stages, name)):
            assert await JobRunner(context=services).run(job, received(1)) is AttemptOutcome.DELAYED
        assert await world.status(job.response_id) is Status.IN_PROGRESS
        assert world.told("axon_requests_shed_total", stage=name, reason="released") == 1
        assert world.told("axon_inference_tokens_total", kind="input", model="echo") is None
        assert await JobRunner(context=services).run(job, received(2)) is AttemptOutcome.COMPLETED
        assert text_of(await world.answered(job)) == "a"

    @pytest.mark.parametrize(
        ("receives", "left_s", "reason"), [(3, 600, "receives"), (1, 1.5, "deadline")]
    )
    async def test_the_last_attempt_tells_the_client(
        self, world: Workplace, name: str, receives: int, left_s: float, reason: str
    ) -> None:
        job = await world.job()
        world.clock_ms = job.deadline_ms(DEADLINE_S) - int(left_s * 1000)
        engine = ScriptedEngine(["a"])
        services = small(world, engine)
        async with full(getattr(services.stages, name)):
            assert (
                await JobRunner(context=services).run(job, received(receives))
                is AttemptOutcome.SHED
            )
        decoded = await world.answered(job)
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"] == OVERLOADED
        assert world.history.records[job.response_id].response == decoded[-1]["response"]
        assert world.told("axon_requests_shed_total", stage=name, reason=reason) == 1
        assert world.told("axon_requests_shed_total", stage=name, reason="released") == 0
        assert engine.requests == []


async def test_what_an_unstored_response_continues_is_still_there_for_a_retry(
    world: Workplace,
) -> None:
    first = await world.job(store=False)
    engine = ScriptedEngine(["a"])
    await attempt(first, world.services(engine))
    second = await world.job(store=False, previous_response_id=first.response_id)
    world.clock_ms = second.created_ms
    services = small(world, engine)
    async with full(services.stages.infer):
        assert await JobRunner(context=services).run(second, received(3)) is AttemptOutcome.SHED
    again = await world.job(store=False, previous_response_id=first.response_id)
    assert await attempt(again, services) is Status.COMPLETED


async def test_priority_takes_an_ordinary_ones_place(world: Workplace) -> None:
    waiting, urgent = await world.job(), await world.job(service_tier="priority")
    world.clock_ms = waiting.created_ms
    services = small(world, ScriptedEngine(["a"]))
    stage = services.stages.infer
    tasks: list[asyncio.Task[AttemptOutcome]] = []

    async def hold() -> None:
        async with stage.slot():
            for job in (waiting, urgent):
                tasks.append(asyncio.create_task(JobRunner(context=services).run(job, received(1))))
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


async def test_what_another_worker_has_begun_goes_before_all_that_has_not(
    world: Workplace,
) -> None:
    job = await world.job(service_tier="flex")
    world.clock_ms = job.created_ms
    engine = ScriptedEngine(["one ", "two"], failures=[(1, DEAD)], token_s=0.001)
    with pytest.raises(EngineDeadError):
        await attempt(job, world.services(engine))
    services = small(world, engine)
    async with full(services.stages.infer, priority=1):
        running = asyncio.create_task(JobRunner(context=services).run(job, received(2)))
        await eventually(lambda: services.stages.retrieve.running == 0)
        await asyncio.sleep(0.01)
        assert not running.done()
    assert await running is AttemptOutcome.COMPLETED
    assert text_of(await world.answered(job)) == "one two"


async def test_what_waits_when_the_worker_drains_is_given_back(world: Workplace) -> None:
    job = await world.job()
    world.clock_ms = job.created_ms
    engine = ScriptedEngine(["a"])
    services = world.services(engine)
    async with full(services.stages.infer):
        running = asyncio.create_task(JobRunner(context=services).run(job, received(1)))
        await eventually(lambda: services.stages.infer.depth == 2)
        world.shutdown.drain()
        assert await running is AttemptOutcome.RELEASED
        assert services.stages.infer.depth == 1
    assert engine.requests == []
