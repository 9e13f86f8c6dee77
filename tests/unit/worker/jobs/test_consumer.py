"""The consumer over a queue in memory, in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.testing.stores import FakeJobQueue
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import VISIBILITY_S, Bench
from worker.engines.protocol import EngineDeadError
from worker.outcome import AttemptOutcome


def test_a_job_is_done_and_deleted() -> None:
    async def story() -> None:
        bench = Bench()
        job = a_job()
        await bench.queue.send(job)
        await bench.consume(1)
        assert bench.runs == [job.response_id]
        assert len(bench.queue.deleted) == 1
        assert bench.outcomes() == {"completed": 1}
        assert bench.consumer.running == 0
        assert not bench.queue.in_flight

    run(story())


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_are_taken_than_slots_are_free(slots: int) -> None:
    async def story() -> None:
        bench = Bench(slots=slots)

        async def work(job: Job) -> None:
            await asyncio.sleep(0.1 + 0.1 * (len(bench.runs) % 4))

        bench.work = work
        for _ in range(10):
            await bench.queue.send(a_job())
        await bench.consume(10)
        assert len(bench.runs) == len(bench.queue.deleted) == 10
        assert bench.most == slots
        assert max(bench.queue.limits) == slots

    run(story())


def test_a_full_worker_asks_for_nothing() -> None:
    async def story() -> None:
        bench = Bench(slots=2)
        bench.work = bench.wait
        for _ in range(5):
            await bench.queue.send(a_job())
        await bench.consume(100)
        assert bench.consumer.running == 2
        assert len(bench.queue.in_flight) == 2
        bench.going.set()
        await bench.consumer.drain(1)

    run(story())


def test_a_prefetching_worker_takes_more_than_its_slots() -> None:
    async def story() -> None:
        bench = Bench(slots=2, prefetch=3)
        bench.work = bench.wait
        for _ in range(9):
            await bench.queue.send(a_job())
        await bench.consume(100)
        assert bench.consumer.running == 5
        assert len(bench.queue.in_flight) == 5
        bench.going.set()
        await bench.consumer.drain(1)

    run(story())


def test_a_job_that_found_no_room_stays_away_longer_each_time() -> None:
    async def story() -> None:
        bench = Bench()
        bench.outcome = AttemptOutcome.DELAYED
        for attempts in (0, 1, 9):
            await bench.queue.put(a_job().encode().decode(), receive_count=attempts)
        await bench.consume(1)
        delays = sorted(timeout_s for _, _, timeout_s in bench.queue.extended)
        assert 1 <= delays[0] <= 2 <= delays[1] <= 4
        assert 15 <= delays[2] <= 30
        assert bench.queue.deleted == bench.queue.released == []
        assert bench.outcomes() == {"delayed": 3}

    run(story())


def test_jobs_are_kept_for_as_long_as_they_take() -> None:
    async def story() -> None:
        bench = Bench()

        async def work(job: Job) -> None:
            await asyncio.sleep(95)

        bench.work = work
        await bench.queue.send(a_job())
        await bench.consume(101)
        while_running = [at for at, count, _ in bench.queue.extended if count]
        assert while_running == [pytest.approx(10.0 * n) for n in range(1, 10)]
        assert {timeout for _, _, timeout in bench.queue.extended} == {VISIBILITY_S}
        assert len(bench.queue.deleted) == 1

    run(story())


def test_a_heartbeat_that_fails_is_tried_again() -> None:
    async def story() -> None:
        bench = Bench()
        bench.work = bench.wait
        await bench.queue.send(a_job())
        extend, failures = bench.queue.extend, [UnavailableError("no queue")]

        async def failing(deliveries: Sequence[ReceivedJob], *, timeout_s: int) -> None:
            if failures:
                raise failures.pop()
            await extend(deliveries, timeout_s=timeout_s)

        bench.queue.extend = failing  # type: ignore[method-assign]
        await bench.consume(25)
        assert [at for at, _, _ in bench.queue.extended] == [pytest.approx(20.0)]
        bench.going.set()
        await bench.consumer.drain(1)

    run(story())


def test_a_service_that_is_away_while_the_worker_drains_gives_the_job_back() -> None:
    async def story() -> None:
        bench = Bench()
        bench.fail(UnavailableError("no Valkey"))
        await bench.queue.send(a_job())
        await bench.consume(1)
        assert len(bench.queue.released) == 1
        assert bench.queue.deleted == []
        assert bench.outcomes() == {"released": 1}
        assert bench.consumer.running == 0

    run(story())


def test_an_attempt_is_told_how_often_its_job_was_received() -> None:
    async def story() -> None:
        bench = Bench()
        for attempts in (0, 2):
            await bench.queue.put(a_job().encode().decode(), receive_count=attempts)
        await bench.consume(1)
        assert bench.deliveries == [1, 3]

    run(story())


def test_a_dead_engine_gives_every_job_back_and_ends_the_consumer() -> None:
    async def story() -> None:
        bench = Bench(slots=3)

        async def work(job: Job) -> None:
            await asyncio.sleep(1)
            raise EngineDeadError("gone")

        bench.work = work
        for _ in range(3):
            await bench.queue.send(a_job())
        bench.queue.release_s = 0.5
        with pytest.raises(EngineDeadError, match="gone"):
            await bench.consumer.consume()
        assert len(bench.queue.released) == 3
        assert bench.queue.deleted == []
        assert bench.outcomes() == {"released": 3}

    run(story())


def test_a_dead_engine_does_not_get_its_own_jobs_again() -> None:
    async def story() -> None:
        bench = Bench(slots=2)

        async def extend(deliveries: Sequence[ReceivedJob], *, timeout_s: int) -> None:
            await FakeJobQueue.extend(bench.queue, deliveries, timeout_s=timeout_s)
            await asyncio.sleep(0.5)

        bench.queue.extend = extend  # type: ignore[method-assign]
        bench.fail(EngineDeadError("gone"))
        await bench.queue.send(a_job())
        with pytest.raises(EngineDeadError):
            await bench.consumer.consume()
        assert len(bench.runs) == 1
        (again,) = await bench.queue.receive(limit=5)
        assert again.receive_count == 2

    run(story())


def test_an_unexpected_error_leaves_the_job_to_the_visibility_timeout() -> None:
    async def story() -> None:
        bench = Bench()
        bench.fail(KeyError("a bug"))
        await bench.queue.send(a_job())
        await bench.consume(1)
        assert bench.queue.deleted == bench.queue.released == []
        assert len(bench.queue.in_flight) == 1
        assert bench.consumer.running == 0
        assert bench.outcomes() == {"released": 1}

    run(story())


@pytest.mark.parametrize("body", ["poison", "{}", '{"tenant_id": 1}'])
def test_poison_is_left_to_become_a_dead_letter(body: str) -> None:
    async def story() -> None:
        bench = Bench()
        await bench.queue.put(body)
        await bench.queue.send(a_job())
        await bench.consume(1)
        assert len(bench.runs) == 1
        assert [delivery.body for delivery in bench.queue.in_flight.values()] == [body]
        assert bench.queue.released == []

    run(story())


@pytest.mark.parametrize(
    ("outcome", "deleted"),
    [
        (AttemptOutcome.DUPLICATE, 1),
        (AttemptOutcome.FENCED, 0),
        (AttemptOutcome.OVERDUE, 1),
        (AttemptOutcome.SHED, 1),
    ],
)
def test_only_what_nobody_needs_is_deleted(outcome: AttemptOutcome, deleted: int) -> None:
    async def story() -> None:
        bench = Bench()
        bench.outcome = outcome
        await bench.queue.send(a_job())
        await bench.consume(1)
        assert len(bench.queue.deleted) == deleted
        assert bench.queue.released == []
        assert len(bench.queue.in_flight) == 1 - deleted
        assert bench.outcomes() == {outcome.value: 1}

    run(story())


def test_a_job_is_deleted_as_soon_as_the_queue_is_back() -> None:
    async def story() -> None:
        bench = Bench(slots=1)
        bench.queue.refuse_delete = UnavailableError("no queue")
        await bench.queue.send(a_job())
        await bench.consume(45)
        assert bench.consumer.running == 1
        assert [count for _, count, _ in bench.queue.extended] == [1, 1, 1, 1]
        bench.queue.refuse_delete = None
        await bench.consume(6)
        assert len(bench.queue.deleted) == 1
        assert len(bench.runs) == 1
        assert bench.outcomes() == {"completed": 1}

    run(story())


def test_a_job_that_cannot_be_deleted_before_the_worker_ends_is_given_back() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.refuse_delete = UnavailableError("no queue")
        await bench.queue.send(a_job())
        await bench.consume(1)
        await bench.consumer.drain(20)
        assert now() == pytest.approx(1.0)
        assert len(bench.queue.released) == 1
        assert bench.outcomes() == {"completed": 1}

    run(story())


def test_a_heartbeat_under_way_does_not_take_a_released_job_back() -> None:
    async def story() -> None:
        bench = Bench()
        calls: list[int] = []

        async def extend(deliveries: Sequence[ReceivedJob], *, timeout_s: int) -> None:
            if deliveries:
                await asyncio.sleep(3)
                calls.append(timeout_s)

        async def work(job: Job) -> None:
            await asyncio.sleep(11)
            bench.outcome = AttemptOutcome.RELEASED

        bench.queue.extend = extend  # type: ignore[method-assign]
        bench.work = work
        await bench.queue.send(a_job())
        await bench.consume(100)
        assert calls == [VISIBILITY_S, 0]

    run(story())


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "overdue"])
def test_the_outcome_is_counted_and_traced(outcome: str) -> None:
    async def story() -> None:
        bench = Bench()
        bench.outcome = AttemptOutcome(outcome)
        job = a_job()
        await bench.queue.put(job.encode().decode(), trace_header="Root=1-1-1;Sampled=1")
        await bench.consume(1)
        assert bench.outcomes() == {outcome: 1}
        assert len(bench.queue.deleted) == 1
        (span,) = bench.tracing.spans
        assert (span.path, span.header) == (("job",), "Root=1-1-1;Sampled=1")
        assert span.attributes == {
            "response_id": job.response_id,
            "model": job.model,
            "outcome": outcome,
        }
        assert span.ended

    run(story())


def test_every_change_of_what_runs_is_told() -> None:
    async def story() -> None:
        bench = Bench(slots=2)

        async def work(job: Job) -> None:
            await asyncio.sleep(len(bench.runs))

        bench.work = work
        for _ in range(3):
            await bench.queue.send(a_job())
        await bench.consume(10)
        assert bench.changes == [1, 2, 1, 2, 1, 0]

    run(story())


def test_a_queue_that_is_away_is_asked_again() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.fail_with = UnavailableError("no queue")
        await bench.consume(5.5)
        assert 4 <= len(bench.queue.limits) <= 7
        bench.queue.fail_with = None
        await bench.queue.send(a_job())
        await bench.consume(2)
        assert len(bench.queue.deleted) == 1

    run(story())


def test_a_wrong_queue_ends_the_consumer() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.fail_with = ValueError("wrong")
        with pytest.raises(ValueError, match="wrong"):
            await bench.consumer.consume()

    run(story())
