"""The consumer and the jobs that peers hand over to it, in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from axon.exceptions import UnavailableError
from axon.jobs import Job, NotExtended, ReceivedJob
from tests.support.eventually import eventually
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import VISIBILITY_S, ConsumerHarness
from worker.outcome import AttemptOutcome


def handed_over(number: int = 1) -> ReceivedJob:
    return ReceivedJob(
        body=a_job().encode().decode(),
        receipt_handle=f"handed-{number}",
        receive_count=1,
        message_id=f"m{number}",
        forwarded=True,
    )


def arrived(harness: ConsumerHarness) -> float | None:
    return harness.registry.get_sample_value("axon_jobs_arrived_total")


def test_consumer_runs_and_extends_an_accepted_job_without_a_free_slot() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=1)
        harness.work = harness.wait
        await harness.queue.send(a_job())
        await harness.consume(1)
        harness.consumer.accept(handed_over())
        await asyncio.sleep(0.01)
        assert harness.consumer.running == len(harness.runs) == 2
        assert harness.changes == [1, 2]
        at, count, timeout_s = harness.queue.extended[-1]
        assert at == pytest.approx(1.0)
        assert (count, timeout_s) == (1, VISIBILITY_S)
        harness.going.set()
        await harness.consumer.drain(1)
        assert {received.receipt_handle for received in harness.queue.deleted} == {"1", "handed-1"}
        assert arrived(harness) == 1

    run(story())


def test_consumer_with_more_jobs_than_slots_receives_nothing() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=2)

        async def work(job: Job) -> None:
            await asyncio.sleep(10 * len(harness.runs))

        harness.work = work
        for number in range(4):
            harness.consumer.accept(handed_over(number))
        await harness.queue.send(a_job())
        await harness.consume(25)  # two have ended
        assert len(harness.runs) == 4
        await harness.consume(10)
        assert len(harness.runs) == 5
        assert min(harness.queue.limits) >= 1
        await harness.consumer.drain(100)
        assert harness.outcomes() == {"completed": 5}

    run(story())


def test_consumer_receives_nothing_if_an_accepted_job_takes_the_room_at_once() -> None:
    async def story() -> None:
        harness = ConsumerHarness(slots=1)
        harness.work = harness.wait
        await harness.queue.send(a_job())
        consuming = asyncio.create_task(harness.consumer.consume())
        await eventually(lambda: harness.consumer.running == 1)
        harness.going.set()
        await eventually(lambda: harness.consumer.running == 0, interval_s=0)
        harness.going.clear()
        harness.consumer.accept(handed_over())  # before the consumer sees that it has room
        await asyncio.sleep(1)
        assert harness.queue.limits == [1]
        assert not consuming.done()
        consuming.cancel()
        harness.going.set()
        await harness.consumer.drain(1)

    run(story())


def test_consumer_extends_many_accepted_jobs_with_few_calls() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.work = harness.wait
        calls: list[int] = []

        async def extend(
            messages: Sequence[ReceivedJob], *, timeout_s: int
        ) -> Sequence[NotExtended]:
            calls.append(len(messages))
            await asyncio.sleep(0.1)
            return ()

        harness.queue.extend = extend  # type: ignore[method-assign]
        for number in range(30):
            harness.consumer.accept(handed_over(number))
        await harness.consumer.settled()
        assert calls == [1, 29]
        harness.going.set()
        await harness.consumer.drain(1)

    run(story())


def test_consumer_runs_an_accepted_job_that_it_cannot_extend() -> None:
    async def story() -> None:
        harness = ConsumerHarness()

        async def extend(messages: object, *, timeout_s: int) -> Sequence[NotExtended]:
            raise UnavailableError("no queue")

        harness.queue.extend = extend  # type: ignore[method-assign]
        harness.consumer.accept(handed_over())
        await harness.consumer.drain(1)
        assert harness.outcomes() == {"completed": 1}

    run(story())


def test_consumer_runs_a_job_that_is_accepted_twice_once() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.work = harness.wait
        for _ in range(2):
            harness.consumer.accept(handed_over())
        await asyncio.sleep(0)
        assert harness.consumer.running == arrived(harness) == 1
        harness.going.set()
        await harness.consumer.drain(1)

    run(story())


def test_consumer_that_drains_releases_an_accepted_job_at_once() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.work = harness.wait
        harness.consumer.accept(handed_over(1))
        await asyncio.sleep(0)
        draining = asyncio.create_task(harness.consumer.drain(20))
        await asyncio.sleep(1)
        harness.consumer.accept(handed_over(2))
        await harness.consumer.settled()
        assert now() == pytest.approx(1.0)
        assert [received.receipt_handle for received in harness.queue.released] == ["handed-2"]
        assert len(harness.runs) == 1
        harness.going.set()
        await draining
        assert harness.changes == [1, 0]

    run(story())


def test_consumer_waits_for_releases_after_the_drain() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.queue.release_s = 0.5
        await harness.consumer.drain(20)
        harness.consumer.accept(handed_over())
        await harness.consumer.settled()
        assert len(harness.queue.released) == 1

    run(story())


def test_consumer_leaves_the_message_of_a_forwarded_job() -> None:
    async def story() -> None:
        harness = ConsumerHarness()
        harness.outcome = AttemptOutcome.FORWARDED
        await harness.queue.send(a_job())
        await harness.consume(35)
        assert harness.queue.deleted == harness.queue.released == []
        assert all(count == 0 for _, count, _ in harness.queue.extended)
        assert harness.outcomes() == {"forwarded": 1}

    run(story())
