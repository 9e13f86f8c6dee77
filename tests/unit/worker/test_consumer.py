"""The consumer over a queue in memory, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from axon.event_log import Status
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from axon.jobs import Delivery, Job
from axon.testing.stores import FakeJobQueue
from tests.unit.axon.samples import a_job
from tests.unit.axon.submitting import World
from tests.unit.worker.virtual_time import now, run
from worker.consumer import Consumer
from worker.engines.protocol import EngineDeadError

VISIBILITY_S = 30


class Queue(FakeJobQueue):
    """Notes what it was asked, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []
        self.deleted: list[Delivery] = []
        self.released: list[Delivery] = []
        self.extended: list[tuple[float, int, int]] = []
        self.refuse_delete: Exception | None = None
        self.release_s = 0.0

    async def receive(self, *, limit: int) -> Sequence[Delivery]:
        assert limit >= 1
        self.limits.append(limit)
        return await super().receive(limit=limit)

    async def delete(self, delivery: Delivery) -> None:
        if self.refuse_delete:
            raise self.refuse_delete
        self.deleted.append(delivery)
        await super().delete(delivery)

    async def extend(self, deliveries: Sequence[Delivery], *, timeout_s: int) -> None:
        if timeout_s:
            self.extended.append((now(), len(deliveries), timeout_s))
        else:  # they do not come again
            await asyncio.sleep(self.release_s)
            self.released += deliveries
            for delivery in deliveries:
                self.in_flight.pop(delivery.receipt, None)


class Bench:
    """A consumer whose attempts do what `work` says."""

    def __init__(self, *, slots: int = 2) -> None:
        self.queue = Queue()
        self.world = World()
        self.runs: list[str] = []
        self.most = 0
        self.going = asyncio.Event()
        self.work: Callable[[Job], Awaitable[None]] = self.succeed
        self.consumer = Consumer(
            queue=self.queue,
            event_log=self.world.valkey,
            run=self._run,
            slots=slots,
            visibility_timeout_s=VISIBILITY_S,
        )

    async def succeed(self, job: Job) -> None: ...

    async def wait(self, job: Job) -> None:
        await self.going.wait()

    def fail(self, error: Exception) -> None:
        async def work(job: Job) -> None:
            raise error

        self.work = work

    async def _run(self, job: Job) -> None:
        self.runs.append(job.response_id)
        self.most = max(self.most, self.consumer.running)
        await self.work(job)

    async def consume(self, seconds: float) -> None:
        """Consume for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.consumer.consume()


def test_a_job_is_done_and_deleted() -> None:
    async def story() -> None:
        bench = Bench()
        job = a_job()
        await bench.queue.send(job)
        await bench.consume(1)
        assert bench.runs == [job.response_id]
        assert len(bench.queue.deleted) == 1
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

        async def failing(deliveries: Sequence[Delivery], *, timeout_s: int) -> None:
            if failures:
                raise failures.pop()
            await extend(deliveries, timeout_s=timeout_s)

        bench.queue.extend = failing  # type: ignore[method-assign]
        await bench.consume(25)
        assert [at for at, _, _ in bench.queue.extended] == [pytest.approx(20.0)]
        bench.going.set()
        await bench.consumer.drain(1)

    run(story())


@pytest.mark.parametrize(("attempts", "delay_s"), [(1, 2), (3, 8), (20, VISIBILITY_S)])
def test_a_service_that_is_away_gives_the_job_back_for_later(attempts: int, delay_s: int) -> None:
    async def story() -> None:
        bench = Bench()
        bench.fail(UnavailableError("no Valkey"))
        await bench.queue.put(a_job().encode().decode(), attempts=attempts - 1)
        await bench.consume(1)
        assert [timeout for _, _, timeout in bench.queue.extended] == [delay_s]
        assert bench.queue.deleted == []
        assert bench.consumer.running == 0

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

    run(story())


def test_a_dead_engine_does_not_get_its_own_jobs_again() -> None:
    async def story() -> None:
        bench = Bench(slots=2)

        async def extend(deliveries: Sequence[Delivery], *, timeout_s: int) -> None:
            await FakeJobQueue.extend(bench.queue, deliveries, timeout_s=timeout_s)
            await asyncio.sleep(0.5)

        bench.queue.extend = extend  # type: ignore[method-assign]
        bench.fail(EngineDeadError("gone"))
        await bench.queue.send(a_job())
        with pytest.raises(EngineDeadError):
            await bench.consumer.consume()
        assert len(bench.runs) == 1
        (again,) = await bench.queue.receive(limit=5)
        assert again.attempts == 2

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


def test_a_response_that_nobody_knows_is_done_with() -> None:
    async def story() -> None:
        bench = Bench()
        bench.fail(MissingResponseError("resp"))
        await bench.queue.send(a_job())
        await bench.consume(1)
        assert len(bench.queue.deleted) == 1

    run(story())


def test_a_response_that_was_ended_from_outside_is_done_with() -> None:
    async def story() -> None:
        bench = Bench()
        bench.fail(FencedError("resp"))
        await bench.world.begin()
        response_id = await bench.world.submit()
        (job,) = bench.world.jobs_sent()
        await bench.world.ender.end(response_id, Status.CANCELLED)
        await bench.queue.send(job)
        await bench.consume(1)
        assert len(bench.queue.deleted) == 1

    run(story())


def test_a_newer_attempt_keeps_the_job() -> None:
    async def story() -> None:
        bench = Bench()
        bench.fail(FencedError("resp"))
        await bench.world.begin()
        response_id = await bench.world.submit()
        (job,) = bench.world.jobs_sent()
        await bench.world.say(response_id, "some")
        await bench.queue.send(job)
        await bench.consume(1)
        assert bench.queue.deleted == bench.queue.released == []
        assert len(bench.queue.in_flight) == 1

    run(story())


def test_a_job_that_cannot_be_deleted_is_given_back() -> None:
    async def story() -> None:
        bench = Bench()
        bench.queue.refuse_delete = UnavailableError("no queue")
        await bench.queue.send(a_job())
        await bench.consume(1)
        assert [timeout for _, _, timeout in bench.queue.extended] == [2]

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


class TestDrain:
    def test_what_runs_may_end_and_nothing_new_begins(self) -> None:
        async def story() -> None:
            bench = Bench(slots=1)

            async def work(job: Job) -> None:
                await asyncio.sleep(15)

            bench.work = work
            for _ in range(2):
                await bench.queue.send(a_job())
            await bench.consume(1)
            await bench.consumer.drain(20)
            assert now() == pytest.approx(15.0)
            assert len(bench.runs) == len(bench.queue.deleted) == 1
            kept = [at for at, count, _ in bench.queue.extended if count]
            assert kept
            assert max(pause(kept, since=0.0)) <= VISIBILITY_S / 2

        run(story())

    def test_what_does_not_end_in_time_is_given_back(self) -> None:
        async def story() -> None:
            bench = Bench(slots=3)
            bench.work = bench.wait
            for _ in range(3):
                await bench.queue.send(a_job())
            await bench.consume(1)
            await bench.consumer.drain(20)
            assert now() == pytest.approx(21.0)
            assert len(bench.queue.released) == 3
            assert bench.queue.deleted == []
            assert bench.consumer.running == 0

        run(story())

    def test_an_idle_worker_is_done_at_once(self) -> None:
        async def story() -> None:
            bench = Bench()
            await bench.consume(1)
            await bench.consumer.drain(20)
            assert now() == pytest.approx(1.0)

        run(story())


def pause(times: list[float], *, since: float) -> list[float]:
    return [later - earlier for earlier, later in zip([since, *times], times, strict=False)]
