"""What other workers hand over to the consumer, in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import VISIBILITY_S, Bench
from worker.outcome import AttemptOutcome


def handed_over(number: int = 1) -> ReceivedJob:
    return ReceivedJob(
        body=a_job().encode().decode(),
        receipt_handle=f"handed-{number}",
        receive_count=1,
        message_id=f"m{number}",
        forwarded=True,
    )


def arrived(bench: Bench) -> float | None:
    return bench.registry.get_sample_value("axon_jobs_arrived_total")


def test_it_is_run_though_no_slot_is_free_and_kept_at_once() -> None:
    async def story() -> None:
        bench = Bench(slots=1)
        bench.work = bench.wait
        await bench.queue.send(a_job())
        await bench.consume(1)
        bench.consumer.accept(handed_over())
        await asyncio.sleep(0.01)
        assert bench.consumer.running == len(bench.runs) == 2
        assert bench.changes == [1, 2]
        at, count, timeout_s = bench.queue.extended[-1]
        assert at == pytest.approx(1.0)
        assert (count, timeout_s) == (1, VISIBILITY_S)
        bench.going.set()
        await bench.consumer.drain(1)
        assert {delivery.receipt_handle for delivery in bench.queue.deleted} == {"1", "handed-1"}
        assert arrived(bench) == 1

    run(story())


def test_while_it_has_more_than_its_slots_it_receives_nothing() -> None:
    async def story() -> None:
        bench = Bench(slots=2)

        async def work(job: Job) -> None:
            await asyncio.sleep(10 * len(bench.runs))

        bench.work = work
        for number in range(4):
            bench.consumer.accept(handed_over(number))
        await bench.queue.send(a_job())
        await bench.consume(25)  # two have ended
        assert len(bench.runs) == 4
        await bench.consume(10)
        assert len(bench.runs) == 5
        assert min(bench.queue.limits) >= 1
        await bench.consumer.drain(100)
        assert bench.outcomes() == {"completed": 5}

    run(story())


def test_many_are_kept_by_few_calls() -> None:
    async def story() -> None:
        bench = Bench()
        bench.work = bench.wait
        calls: list[int] = []

        async def extend(deliveries: Sequence[ReceivedJob], *, timeout_s: int) -> None:
            calls.append(len(deliveries))
            await asyncio.sleep(0.1)

        bench.queue.extend = extend  # type: ignore[method-assign]
        for number in range(30):
            bench.consumer.accept(handed_over(number))
        await bench.consumer.settled()
        assert calls == [1, 29]
        bench.going.set()
        await bench.consumer.drain(1)

    run(story())


def test_one_that_cannot_be_extended_is_run_all_the_same() -> None:
    async def story() -> None:
        bench = Bench()

        async def extend(deliveries: object, *, timeout_s: int) -> None:
            raise UnavailableError("no queue")

        bench.queue.extend = extend  # type: ignore[method-assign]
        bench.consumer.accept(handed_over())
        await bench.consumer.drain(1)
        assert bench.outcomes() == {"completed": 1}

    run(story())


def test_the_same_one_twice_is_run_once() -> None:
    async def story() -> None:
        bench = Bench()
        bench.work = bench.wait
        for _ in range(2):
            bench.consumer.accept(handed_over())
        await asyncio.sleep(0)
        assert bench.consumer.running == arrived(bench) == 1
        bench.going.set()
        await bench.consumer.drain(1)

    run(story())


def test_a_worker_that_drains_gives_it_back_at_once() -> None:
    async def story() -> None:
        bench = Bench()
        bench.work = bench.wait
        bench.consumer.accept(handed_over(1))
        await asyncio.sleep(0)
        draining = asyncio.create_task(bench.consumer.drain(20))
        await asyncio.sleep(1)
        bench.consumer.accept(handed_over(2))
        await bench.consumer.settled()
        assert now() == pytest.approx(1.0)
        assert [delivery.receipt_handle for delivery in bench.queue.released] == ["handed-2"]
        assert len(bench.runs) == 1
        bench.going.set()
        await draining
        assert bench.changes == [1, 0]

    run(story())


def test_what_is_still_given_back_after_the_drain_is_waited_for() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.release_s = 0.5
        await bench.consumer.drain(20)
        bench.consumer.accept(handed_over())
        await bench.consumer.settled()
        assert len(bench.queue.released) == 1

    run(story())


def test_what_was_handed_over_to_another_is_left_alone() -> None:
    async def story() -> None:
        bench = Bench()
        bench.outcome = AttemptOutcome.FORWARDED
        await bench.queue.send(a_job())
        await bench.consume(35)
        assert bench.queue.deleted == bench.queue.released == []
        assert all(count == 0 for _, count, _ in bench.queue.extended)
        assert bench.outcomes() == {"forwarded": 1}

    run(story())
