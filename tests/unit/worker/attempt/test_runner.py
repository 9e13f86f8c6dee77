"""What becomes of a job."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.event_log.log import LoggedEvent, LostResponse, Status
from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.responses.terminator import OVERDUE
from tests.support.virtual_time import now, run
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.axon.samples import a_job
from tests.unit.worker.attempt.attempt_harness import DEAD, Workplace, text_of
from tests.unit.worker.attempt.faulty_event_log import Fault, going_wrong
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.attempt.context import AttemptContext
from worker.attempt.endings import LOST
from worker.attempt.runner import JobRunner
from worker.engines.protocol import EngineDeadError, EngineError
from worker.outcome import AttemptOutcome


async def answered(
    world: Workplace, job: Job, engine: ScriptedEngine | None = None, *, deliveries: int = 1
) -> AttemptOutcome:
    services = world.services(engine or ScriptedEngine(["a"]))
    return await JobRunner(context=services).run(job, delivered(deliveries))


async def begun(world: Workplace, job: Job, engine: ScriptedEngine) -> asyncio.Task[AttemptOutcome]:
    """Answer a job; the engine waits before its first token."""
    engine.pass_(0)
    running = asyncio.create_task(answered(world, job, engine))
    async with asyncio.timeout(5):
        while not engine.running:
            await asyncio.sleep(0)
    return running


def delivered(times: int, *, message_id: str = "message") -> ReceivedJob:
    """A job's message, received so many times."""
    return ReceivedJob(body="", receipt_handle="", receive_count=times, message_id=message_id)


class TestOutcome:
    async def test_completed(self, world: Workplace) -> None:
        job = await world.job()
        assert await answered(world, job) is AttemptOutcome.COMPLETED
        assert text_of(await world.answered(job)) == "a"

    async def test_failed(self, world: Workplace) -> None:
        engine = ScriptedEngine(failures=[(0, EngineError("broken"))])
        assert await answered(world, await world.job(), engine) is AttemptOutcome.FAILED

    async def test_ended_from_outside(self, world: Workplace) -> None:
        job = await world.job()
        await world.terminator.end(job.response_id, Status.CANCELLED)
        assert await answered(world, job) is AttemptOutcome.CANCELLED

    @pytest.mark.parametrize(
        ("message_id", "outcome"),
        [("message", AttemptOutcome.FENCED), ("another", AttemptOutcome.DUPLICATE)],
    )
    async def test_a_newer_attempt_has_it(
        self, world: Workplace, message_id: str, outcome: AttemptOutcome
    ) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two"])
        running = await begun(world, job, engine)
        await world.valkey.claim(job.response_id, message_id=message_id)
        engine.pass_(2)
        assert await running is outcome
        assert (world.told("axon_tokens_regenerated_total", model="echo") or 0) >= 1

    @pytest.mark.parametrize("seconds", [0.0, 0.5])
    def test_an_ender_ends_what_it_has_claimed(self, seconds: float) -> None:
        async def story() -> None:
            world = Workplace()
            await world.begin()
            job = await world.job()
            engine = ScriptedEngine(["one ", "two"])
            running = await begun(world, job, engine)
            terminator = await world.valkey.claim(job.response_id)
            engine.pass_(2)
            await asyncio.sleep(seconds)
            await world.valkey.append(
                job.response_id,
                epoch=terminator.epoch,
                events=[LoggedEvent(terminator.next_sequence, b"{}")],
                status=Status.CANCELLED,
            )
            assert await running is AttemptOutcome.CANCELLED

        run(story())

    def test_an_ender_dies_on_the_way(self) -> None:
        async def story() -> None:
            world = Workplace()
            await world.begin()
            job = await world.job()
            engine = ScriptedEngine(["one ", "two"])
            running = await begun(world, job, engine)
            await world.valkey.claim(job.response_id)
            engine.pass_(2)
            assert await running is AttemptOutcome.FENCED

        run(story())

    async def test_a_dead_engine(self, world: Workplace) -> None:
        with pytest.raises(EngineDeadError):
            await answered(world, await world.job(), ScriptedEngine(failures=[(0, DEAD)]))


class TestOverdue:
    @pytest.mark.parametrize("begun", [False, True])
    async def test_it_is_failed_and_not_run(self, world: Workplace, begun: bool) -> None:
        job = await world.job()
        if begun:
            await world.say(job.response_id, "some")
        world.clock_ms = job.deadline_ms(DEADLINE_S)
        engine = ScriptedEngine(["a"])
        assert await answered(world, job, engine) is AttemptOutcome.OVERDUE
        assert engine.requests == []
        decoded = await world.answered(job)
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"] == OVERDUE
        assert world.history.records[job.response_id].response["status"] == "failed"

    async def test_a_moment_before_it_is_run(self, world: Workplace) -> None:
        job = await world.job()
        world.clock_ms = job.deadline_ms(DEADLINE_S) - 1
        assert await answered(world, job) is AttemptOutcome.COMPLETED

    async def test_what_has_ended_stays_as_it_is(self, world: Workplace) -> None:
        job = await world.job()
        await answered(world, job)
        before = await world.valkey.read(job.response_id)
        world.clock_ms = job.deadline_ms(DEADLINE_S)
        assert await answered(world, job) is AttemptOutcome.OVERDUE
        assert await world.valkey.read(job.response_id) == before

    async def test_what_nobody_knows(self, world: Workplace) -> None:
        job = a_job()
        world.clock_ms = job.deadline_ms(DEADLINE_S)
        assert await answered(world, job, deliveries=2) is AttemptOutcome.OVERDUE
        assert await world.valkey.describe(job.response_id) is None

    def test_valkey_stays_away_until_then_and_longer(self) -> None:
        async def story() -> None:
            world = Workplace()
            await world.begin()
            job = await world.job()
            world.clock_ms = job.created_ms
            begun = now()

            async def away(*_: object, **__: object) -> None:
                world.clock_ms = job.created_ms + int((now() - begun) * 1000)
                raise UnavailableError("away")

            claim, describe = world.valkey.claim, world.valkey.describe
            world.valkey.claim = world.valkey.describe = away  # type: ignore[assignment,method-assign]
            running = asyncio.create_task(answered(world, job))
            await asyncio.sleep(DEADLINE_S + 60)
            assert not running.done()
            world.valkey.claim = claim  # type: ignore[method-assign]
            world.valkey.describe = describe  # type: ignore[method-assign]
            assert await running is AttemptOutcome.OVERDUE
            assert await world.status(job.response_id) is Status.FAILED

        run(story())

    async def test_a_draining_worker_does_not_wait(self, world: Workplace) -> None:
        job = await world.job()
        world.clock_ms = job.deadline_ms(DEADLINE_S)
        world.shutdown.drain()
        with going_wrong(world, [Fault.UNSENT]), pytest.raises(UnavailableError):
            await answered(world, job)


class TestLost:
    async def test_it_ends_in_a_failure_that_says_so(self, world: Workplace) -> None:
        job = await world.job()
        await world.say(job.response_id, "some")
        world.valkey.lose()
        assert await answered(world, job, deliveries=2) is AttemptOutcome.FAILED
        decoded = await world.answered(job)
        assert [event["type"] for event in decoded] == ["response.created", "response.failed"]
        assert decoded[-1]["response"]["error"] == LOST
        assert world.history.records[job.response_id].response == decoded[-1]["response"]
        assert await answered(world, job, deliveries=3) is AttemptOutcome.CANCELLED

    async def test_its_end_is_history(self, world: Workplace) -> None:
        job = await world.job()
        assert await answered(world, job) is AttemptOutcome.COMPLETED
        record = world.history.records[job.response_id]
        world.valkey.lose()
        assert await answered(world, job, deliveries=2) is AttemptOutcome.CANCELLED
        assert world.history.records[job.response_id] is record
        assert await world.valkey.describe(job.response_id) is None

    async def test_the_database_is_away(
        self, world: Workplace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(*_: object, **__: object) -> None:
            raise UnavailableError("away")

        job = await world.job()
        world.valkey.lose()
        monkeypatch.setattr(world.conversations, "chain", away)
        assert await answered(world, job, deliveries=2) is AttemptOutcome.FAILED

    async def test_it_is_lost_again_at_once(self, world: Workplace) -> None:
        job = await world.job()
        world.valkey.lose()
        with going_wrong(world, [Fault.NONE, Fault.NONE, Fault.LOST]):
            assert await answered(world, job, deliveries=2) is AttemptOutcome.FAILED
        assert (await world.answered(job))[-1]["response"]["error"] == LOST

    async def test_the_first_delivery_is_its_own_backup(self, world: Workplace) -> None:
        job = await world.job()
        world.valkey.lose()
        assert await answered(world, job, deliveries=1) is AttemptOutcome.COMPLETED

    async def test_whoever_was_there_first_is_right(
        self, world: Workplace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An older attempt makes the log anew before this one can fail it."""
        job = await world.job()
        older = await world.say(job.response_id, "some")
        held = LostResponse(
            response_id=job.response_id,
            tenant_id=job.tenant_id,
            connection_id=job.connection_id,
            job=job.encode(),
            deadline_ms=job.deadline_ms(DEADLINE_S),
            epoch=1,
            events=await world.valkey.read(job.response_id),
            status=Status.IN_PROGRESS,
        )
        world.valkey.lose()
        restore = world.valkey.restore

        async def too_late(response: LostResponse) -> None:
            await restore(held)
            await restore(response)

        monkeypatch.setattr(world.valkey, "restore", too_late)
        assert await answered(world, job, deliveries=2) is AttemptOutcome.FENCED
        assert job.response_id not in world.history.records
        await older.complete()
        assert text_of(await world.answered(job)) == "some"


FAULTS = st.lists(st.sampled_from(Fault), max_size=30)
TOKENS = [f"{number} " for number in range(8)]


def with_time(services: AttemptContext, job: Job) -> AttemptContext:
    """Return the services with a clock that moves whenever somebody looks at it."""
    return replace(services, clock_ms=count(job.created_ms).__next__)


async def is_honest(world: Workplace, job: Job) -> bool:
    """Check that the answer is whole, or said to be lost; return whether it is whole."""
    decoded = await world.answered(job)
    assert world.history.records[job.response_id].response == decoded[-1]["response"]
    if decoded[-1]["type"] == "response.completed":
        assert text_of(decoded) == "".join(TOKENS)
        return True
    assert decoded[-1]["response"]["error"] == LOST
    return False


@settings(max_examples=60)
@given(faults=FAULTS, deaths=st.lists(st.integers(0, 8), max_size=3))
def test_every_job_ends_once_and_honestly(faults: Sequence[Fault], deaths: Sequence[int]) -> None:
    async def story() -> None:
        world = Workplace()
        await world.begin()
        job = await world.job()
        engine = ScriptedEngine(TOKENS, failures=[(d, DEAD) for d in deaths], token_s=0.02)
        services = with_time(world.services(engine), job)
        with going_wrong(world, faults) as happened:
            outcomes = await _until_final(
                lambda n: JobRunner(context=services).run(job, delivered(n))
            )
        lost = {Fault.LOST, Fault.LOST_UNANSWERED} & set(happened)
        assert await is_honest(world, job) or (lost and len(outcomes) > 1)

    run(story())


async def _until_final(deliver: Callable[..., Awaitable[AttemptOutcome]]) -> list[AttemptOutcome]:
    """Deliver the job until somebody is done with it."""
    outcomes: list[AttemptOutcome] = []
    while not (outcomes and outcomes[-1].final):
        try:
            outcomes.append(await deliver(len(outcomes) + 1))
        except EngineDeadError:
            outcomes.append(AttemptOutcome.RELEASED)
    return outcomes


@settings(max_examples=60)
@given(
    faults=FAULTS,
    after_s=st.lists(st.sampled_from([0.01, 0.1, 0.2, 0.5, 2.0]), min_size=1, max_size=3),
)
def test_duplicates_of_a_job_make_one_answer(
    faults: Sequence[Fault], after_s: Sequence[float]
) -> None:
    async def story() -> None:
        world = Workplace()
        await world.begin()
        job = await world.job()
        engine = ScriptedEngine(TOKENS, token_s=0.05)
        services = with_time(world.services(engine), job)

        async def deliver(at: float) -> AttemptOutcome:
            await asyncio.sleep(at)
            message = delivered(1, message_id=f"sent {at} s later")
            return await JobRunner(context=services).run(job, message)

        with going_wrong(world, faults) as happened:
            outcomes = await asyncio.gather(*map(deliver, (0.0, *after_s)))
        lost = {Fault.LOST, Fault.LOST_UNANSWERED} & set(happened)
        assert await is_honest(world, job) or lost
        assert len({AttemptOutcome.COMPLETED, AttemptOutcome.FAILED} & set(outcomes)) == 1
        assert engine.running == 0

    run(story())
