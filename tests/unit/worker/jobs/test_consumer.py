"""The consumer over a queue in memory, in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from axon.exceptions import UnavailableError
from axon.jobs import Job, NotExtended, ReceivedJob
from axon.testing.stores import FakeJobQueue
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import VISIBILITY_S, ConsumerHarness
from worker.engines.protocol import EngineDeadError
from worker.outcome import AttemptOutcome


def test_consumer_runs_and_deletes_a_job() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        job = a_job()
        await harness.queue.send(job)
        await harness.consume(1)
        assert harness.runs == [job.response_id]
        assert len(harness.queue.deleted) == 1
        assert harness.outcomes() == {"completed": 1}
        assert harness.consumer.running == 0
        assert not harness.queue.in_flight

    run(story())


@pytest.mark.parametrize("slots", [1, 3])
def test_consumer_receives_no_more_jobs_than_free_slots(slots: int) -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=slots)

        async def work(job: Job) -> None:
            await asyncio.sleep(0.1 + 0.1 * (len(harness.runs) % 4))

        harness.work = work
        for _ in range(10):
            await harness.queue.send(a_job())
        await harness.consume(10)
        assert len(harness.runs) == len(harness.queue.deleted) == 10
        assert harness.most == slots
        assert max(harness.queue.limits) == slots

    run(story())


def test_consumer_without_free_slots_receives_nothing() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=2)
        harness.work = harness.wait
        for _ in range(5):
            await harness.queue.send(a_job())
        await harness.consume(100)
        assert harness.consumer.running == 2
        assert len(harness.queue.in_flight) == 2
        harness.going.set()
        await harness.consumer.drain(1)

    run(story())


def test_consumer_that_prefetches_receives_more_than_its_slots() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=2, prefetch=3)
        harness.work = harness.wait
        for _ in range(9):
            await harness.queue.send(a_job())
        await harness.consume(100)
        assert harness.consumer.running == 5
        assert len(harness.queue.in_flight) == 5
        harness.going.set()
        await harness.consumer.drain(1)

    run(story())


def test_consumer_delays_a_job_longer_with_each_receive() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.outcome = AttemptOutcome.DELAYED
        for attempts in (0, 1, 9):
            await harness.queue.put(a_job().encode().decode(), receive_count=attempts)
        await harness.consume(1)
        delays = sorted(timeout_s for _, _, timeout_s in harness.queue.extended)
        assert 1 <= delays[0] <= 2 <= delays[1] <= 4
        assert 15 <= delays[2] <= 30
        assert harness.queue.deleted == harness.queue.released == []
        assert harness.outcomes() == {"delayed": 3}

    run(story())


def test_consumer_extends_the_visibility_of_running_jobs() -> None:
    async def story() -> None:
        harness = ConsumerHarness()

        async def work(job: Job) -> None:
            await asyncio.sleep(95)

        harness.work = work
        await harness.queue.send(a_job())
        await harness.consume(101)
        while_running = [at for at, count, _ in harness.queue.extended if count]
        assert while_running == [pytest.approx(10.0 * n) for n in range(1, 10)]
        assert {timeout for _, _, timeout in harness.queue.extended} == {VISIBILITY_S}
        assert len(harness.queue.deleted) == 1

    run(story())


def test_consumer_extends_again_after_a_failed_extension() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.work = harness.wait
        await harness.queue.send(a_job())
        extend, failures = harness.queue.extend, [UnavailableError("no queue")]

        async def failing(
            messages: Sequence[ReceivedJob], *, timeout_s: int
        ) -> Sequence[NotExtended]:
            if failures:
                raise failures.pop()
            return await extend(messages, timeout_s=timeout_s)

        harness.queue.extend = failing  # type: ignore[method-assign]
        await harness.consume(25)
        assert [at for at, _, _ in harness.queue.extended] == [pytest.approx(20.0)]
        harness.going.set()
        await harness.consumer.drain(1)

    run(story())


def test_consumer_releases_a_job_whose_service_is_unavailable() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.fail(UnavailableError("no Valkey"))
        await harness.queue.send(a_job())
        await harness.consume(1)
        assert len(harness.queue.released) == 1
        assert harness.queue.deleted == []
        assert harness.outcomes() == {"released": 1}
        assert harness.consumer.running == 0

    run(story())


def test_consumer_passes_on_the_receive_count() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        for attempts in (0, 2):
            await harness.queue.put(a_job().encode().decode(), receive_count=attempts)
        await harness.consume(1)
        assert harness.receive_counts == [1, 3]

    run(story())


def test_consumer_releases_all_jobs_and_ends_when_the_engine_dies() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=3)

        async def work(job: Job) -> None:
            await asyncio.sleep(1)
            raise EngineDeadError("gone")

        harness.work = work
        for _ in range(3):
            await harness.queue.send(a_job())
        harness.queue.release_s = 0.5
        with pytest.raises(EngineDeadError, match="gone"):
            await harness.consumer.consume()
        assert len(harness.queue.released) == 3
        assert harness.queue.deleted == []
        assert harness.outcomes() == {"released": 3}

    run(story())


def test_consumer_of_a_dead_engine_does_not_receive_its_own_jobs_again() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=2)

        async def extend(
            messages: Sequence[ReceivedJob], *, timeout_s: int
        ) -> Sequence[NotExtended]:
            failed = await FakeJobQueue.extend(harness.queue, messages, timeout_s=timeout_s)
            await asyncio.sleep(0.5)
            return failed

        harness.queue.extend = extend  # type: ignore[method-assign]
        harness.fail(EngineDeadError("gone"))
        await harness.queue.send(a_job())
        with pytest.raises(EngineDeadError):
            await harness.consumer.consume()
        assert len(harness.runs) == 1
        (again,) = await harness.queue.receive(limit=5)
        assert again.receive_count == 2

    run(story())


def test_consumer_leaves_a_job_with_an_unexpected_error_to_the_visibility_timeout() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.fail(KeyError("a bug"))
        await harness.queue.send(a_job())
        await harness.consume(1)
        assert harness.queue.deleted == harness.queue.released == []
        assert len(harness.queue.in_flight) == 1
        assert harness.consumer.running == 0
        assert harness.outcomes() == {"released": 1}

    run(story())


@pytest.mark.parametrize(
    ("body", "newer"),
    [("poison", False), ("{}", False), ('{"tenant_id": 1}', False), ('{"format": 99}', True)],
)
def test_consumer_leaves_a_message_that_it_cannot_read(body: str, newer: bool) -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        await harness.queue.put(body)
        await harness.queue.send(a_job())
        await harness.consume(1)
        assert len(harness.runs) == 1
        assert [received.body for received in harness.queue.in_flight.values()] == [body]
        assert harness.queue.released == []
        assert [error.newer for error in harness.refused] == [newer]

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
def test_consumer_deletes_only_messages_that_are_not_needed(
    outcome: AttemptOutcome, deleted: int
) -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.outcome = outcome
        await harness.queue.send(a_job())
        await harness.consume(1)
        assert len(harness.queue.deleted) == deleted
        assert harness.queue.released == []
        assert len(harness.queue.in_flight) == 1 - deleted
        assert harness.outcomes() == {outcome.value: 1}

    run(story())


def test_consumer_retries_the_deletion_until_the_queue_is_back() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=1)
        harness.queue.refuse_delete = UnavailableError("no queue")
        await harness.queue.send(a_job())
        await harness.consume(45)
        assert harness.consumer.running == 1
        assert [count for _, count, _ in harness.queue.extended] == [1, 1, 1, 1]
        harness.queue.refuse_delete = None
        await harness.consume(6)
        assert len(harness.queue.deleted) == 1
        assert len(harness.runs) == 1
        assert harness.outcomes() == {"completed": 1}

    run(story())


def test_consumer_releases_a_job_that_it_cannot_delete_while_it_drains() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.queue.refuse_delete = UnavailableError("no queue")
        await harness.queue.send(a_job())
        await harness.consume(0.5)
        await harness.consumer.drain(20)
        assert now() == pytest.approx(1.0)  # the end of the poll under way
        assert len(harness.queue.released) == 1
        assert harness.outcomes() == {"completed": 1}

    run(story())


def test_consumer_releases_a_job_after_an_extension_in_progress() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        calls: list[int] = []

        async def extend(
            messages: Sequence[ReceivedJob], *, timeout_s: int
        ) -> Sequence[NotExtended]:
            if messages:
                await asyncio.sleep(3)
                calls.append(timeout_s)
            return ()

        async def work(job: Job) -> None:
            await asyncio.sleep(11)
            harness.outcome = AttemptOutcome.RELEASED

        harness.queue.extend = extend  # type: ignore[method-assign]
        harness.work = work
        await harness.queue.send(a_job())
        await harness.consume(100)
        assert calls == [VISIBILITY_S, 0]

    run(story())


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "overdue"])
def test_consumer_counts_and_traces_the_outcome(outcome: str) -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.outcome = AttemptOutcome(outcome)
        job = a_job()
        await harness.queue.put(job.encode().decode(), trace_header="Root=1-1-1;Sampled=1")
        await harness.consume(1)
        assert harness.outcomes() == {outcome: 1}
        assert len(harness.queue.deleted) == 1
        (span,) = harness.tracing.spans
        assert (span.path, span.header) == (("job",), "Root=1-1-1;Sampled=1")
        assert span.attributes == {
            "response_id": job.response_id,
            "model": job.model,
            "outcome": outcome,
        }
        assert span.ended

    run(story())


def test_consumer_reports_every_change_of_the_load() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=2)

        async def work(job: Job) -> None:
            await asyncio.sleep(len(harness.runs))

        harness.work = work
        for _ in range(3):
            await harness.queue.send(a_job())
        await harness.consume(10)
        assert harness.changes == [1, 2, 1, 2, 1, 0]

    run(story())


def test_consumer_receives_again_when_the_queue_is_back() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.queue.fail_with = UnavailableError("no queue")
        await harness.consume(5.5)
        assert 4 <= len(harness.queue.limits) <= 7
        harness.queue.fail_with = None
        await harness.queue.send(a_job())
        await harness.consume(2)
        assert len(harness.queue.deleted) == 1

    run(story())


def test_consumer_ends_with_an_unexpected_error_of_the_queue() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.queue.fail_with = ValueError("wrong")
        with pytest.raises(ValueError, match="wrong"):
            await harness.consumer.consume()

    run(story())
