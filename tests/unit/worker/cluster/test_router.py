"""Where a job is run; in virtual time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.rendezvous import ranked
from axon.testing.worker_directory import FakeWorkerDirectory
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import MODEL, a_job
from worker.attempt.outcome import AttemptOutcome
from worker.cluster.router import Router
from worker.metrics import WorkerMetrics
from worker.shutdown import Shutdown

FIRST = ReceivedJob(body="{}", receipt_handle="r", receive_count=1, message_id="m")
AGAIN = ReceivedJob(body="{}", receipt_handle="r", receive_count=2, message_id="m")
LAST = ReceivedJob(body="{}", receipt_handle="r", receive_count=3, message_id="m")
FORWARDED = ReceivedJob(
    body="{}", receipt_handle="r", receive_count=1, message_id="m", forwarded=True
)


class Host:
    """Holds what a test says; a model becomes ready when it is served or has failed."""

    def __init__(self) -> None:
        self.held: dict[str, ModelState] = {MODEL: ModelState.SERVING}
        self.changed = asyncio.Event()
        self.fail_with: Exception | None = None

    def state_of(self, model: str) -> ModelState | None:
        return self.held.get(model)

    async def ready(self, model: str) -> bool:
        if self.fail_with:
            raise self.fail_with
        await self.changed.wait()
        return self.held.get(model) is ModelState.SERVING


@dataclass
class Neighbours:
    others: Sequence[WorkerState] = field(default_factory=tuple)

    def forget_others(self) -> None:
        self.others = ()


class Directory(FakeWorkerDirectory):
    def __init__(self) -> None:
        super().__init__(clock=now)
        self.asked: list[tuple[list[str], bool]] = []
        self.takes_s = 0.0

    async def hand_over(
        self, delivery: ReceivedJob, *, own_id: str, order: Sequence[str], bounded: bool = True
    ) -> str:
        self.asked.append((list(order), bounded))
        await asyncio.sleep(self.takes_s)
        return await super().hand_over(delivery, own_id=own_id, order=order, bounded=bounded)


class Scene:
    """Worker w1 with others beside it."""

    def __init__(self, *, prefix_affinity: bool = True, most_waiting: int = 2) -> None:
        self.host = Host()
        self.directory = Directory()
        self.peers = Neighbours()
        self.shutdown = Shutdown()
        self.registry = CollectorRegistry()
        self.left_s = 600.0
        self.router = Router(
            worker_id="w1",
            directory=self.directory,
            peers=self.peers,
            host=self.host,
            prefix_affinity=prefix_affinity,
            most_waiting=most_waiting,
            max_receives=3,
            left_s=lambda _: self.left_s,
            metrics=WorkerMetrics(registry=self.registry),
            shutdown=self.shutdown,
        )

    async def beside(
        self, *loads: int, state: ModelState = ModelState.SERVING, own: int = 1
    ) -> None:
        """Have w2, w3 and so on with these loads, and the own one."""
        held = [ModelStatus(MODEL, state)]
        workers = [
            WorkerState(f"w{number}", slots=8, load=load, models=held)
            for number, load in enumerate((own, *loads), start=1)
        ]
        for worker in workers:
            await self.directory.announce(worker, lease_s=1000)
        self.peers.others = workers[1:]

    def forwarded(self, reason: str) -> float | None:
        return self.registry.get_sample_value("axon_jobs_forwarded_total", {"reason": reason})

    def given_to(self) -> list[str]:
        return [worker_id for worker_id, _ in self.directory.handed_over]


def job_of(first: str, *others: str) -> Job:
    """Return a job whose conversation has this worker first."""
    nodes = (first, *others)
    names = (f"conv_{number}" for number in range(1000))
    return a_job(conversation_id=next(n for n in names if ranked(n, nodes)[0] == first))


class TestPrefix:
    def test_a_conversation_goes_to_its_worker(self) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(0, 0)
            job = job_of("w3", "w1", "w2")
            assert await scene.router.route(job, FIRST) is AttemptOutcome.FORWARDED
            assert [worker_id for worker_id, _ in scene.directory.handed_over] == ["w3"]
            assert (scene.forwarded("prefix"), scene.forwarded("model")) == (1, 0)

        run(story())

    def test_to_the_next_if_that_is_full(self) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(9, 0)
            job = job_of("w2", "w3", "w1")
            second = ranked(job.conversation_id, ["w1", "w2", "w3"])[1]
            outcome = await scene.router.route(job, FIRST)
            assert scene.given_to() == ([] if second == "w1" else [second])
            assert outcome is (None if second == "w1" else AttemptOutcome.FORWARDED)

        run(story())

    def test_its_own_stays_without_a_question(self) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(0, own=50)
            assert await scene.router.route(job_of("w1", "w2"), FIRST) is None
            assert scene.directory.asked == []

        run(story())

    @pytest.mark.parametrize("delivery", [AGAIN, LAST, FORWARDED])
    def test_only_what_is_received_for_the_first_time(self, delivery: ReceivedJob) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(0)
            assert await scene.router.route(job_of("w2", "w1"), delivery) is None
            assert scene.directory.asked == []

        run(story())

    def test_not_if_the_operator_does_not_want_it(self) -> None:
        async def story() -> None:
            scene = Scene(prefix_affinity=False)
            await scene.beside(0)
            assert await scene.router.route(job_of("w2", "w1"), FIRST) is None
            assert scene.directory.asked == []

        run(story())

    def test_not_to_one_that_does_not_serve_the_model(self) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(0, state=ModelState.LOADING)
            assert await scene.router.route(job_of("w2", "w1"), FIRST) is None
            assert scene.directory.asked == []

        run(story())

    def test_a_worker_alone_asks_nobody(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.directory.fail_with = AssertionError("asked")
            for delivery in (FIRST, AGAIN, FORWARDED):
                assert await scene.router.route(a_job(), delivery) is None

        run(story())

    def test_a_worker_that_drains_hands_nothing_over(self) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(0)
            scene.shutdown.drain()
            assert await scene.router.route(job_of("w2", "w1"), FIRST) is None
            assert scene.directory.asked == []

        run(story())


class TestValkeyAway:
    @pytest.mark.parametrize("slow", [False, True])
    def test_jobs_are_run_here_and_only_the_first_waits(self, slow: bool) -> None:
        async def story() -> None:
            scene = Scene()
            await scene.beside(0)
            if slow:
                scene.directory.takes_s = 60
            else:
                scene.directory.fail_with = UnavailableError("no Valkey")
            for _ in range(3):
                assert await scene.router.route(job_of("w2", "w1"), FIRST) is None
            assert len(scene.directory.asked) == 1
            assert now() <= 1.01
            assert scene.forwarded("prefix") == 0

        run(story())


class TestModel:
    def test_a_job_goes_to_one_that_serves_its_model(self) -> None:
        async def story() -> None:
            for delivery in (FIRST, AGAIN, LAST):
                scene = Scene(prefix_affinity=False)
                scene.host.held.clear()
                await scene.beside(0, 0)
                assert (
                    await scene.router.route(job_of("w3", "w2"), delivery)
                    is AttemptOutcome.FORWARDED
                )
                assert scene.given_to() == ["w3"]
                assert (scene.forwarded("prefix"), scene.forwarded("model")) == (0, 1)

        run(story())

    def test_rather_to_one_that_is_full_than_to_none(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held.clear()
            await scene.beside(0, 50)
            scene.directory.deaf.add("w2")
            assert await scene.router.route(a_job(), FIRST) is AttemptOutcome.FORWARDED
            assert scene.given_to() == ["w3"]

        run(story())

    def test_nobody_serves_it(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held = {"another": ModelState.SERVING}
            assert await scene.router.route(a_job(), FIRST) is None
            await scene.beside(0, state=ModelState.FAILED)
            assert await scene.router.route(a_job(), FIRST) is None
            assert scene.directory.asked == []

        run(story())

    def test_a_job_that_came_for_a_model_which_has_left_is_given_back(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held.clear()
            await scene.beside(0)
            assert await scene.router.route(a_job(), FORWARDED) is AttemptOutcome.DELAYED
            assert scene.directory.asked == []

        run(story())

    def test_a_job_waits_in_the_queue_for_one_that_another_loads(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held.clear()
            await scene.beside(0, state=ModelState.LOADING)
            assert await scene.router.route(a_job(), FIRST) is AttemptOutcome.DELAYED
            assert await scene.router.route(a_job(), LAST) is None

        run(story())


class TestLoading:
    @pytest.mark.parametrize("delivery", [FIRST, AGAIN, FORWARDED])
    @pytest.mark.parametrize("state", [ModelState.SERVING, ModelState.FAILED])
    def test_a_job_waits_for_its_model(self, delivery: ReceivedJob, state: ModelState) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held[MODEL] = ModelState.LOADING
            routing = asyncio.create_task(scene.router.route(a_job(), delivery))
            await asyncio.sleep(100)
            assert not routing.done()
            scene.host.held[MODEL] = state
            scene.host.changed.set()
            assert await routing is None
            assert now() == pytest.approx(100)

        run(story())

    def test_not_if_another_serves_it(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held[MODEL] = ModelState.LOADING
            await scene.beside(0)
            assert await scene.router.route(a_job(), FIRST) is AttemptOutcome.FORWARDED

        run(story())

    def test_only_so_many_wait_unless_it_is_their_last_time(self) -> None:
        async def story() -> None:
            scene = Scene(most_waiting=2)
            scene.host.held[MODEL] = ModelState.LOADING
            waiting = [asyncio.create_task(scene.router.route(a_job(), FIRST)) for _ in range(2)]
            await asyncio.sleep(1)
            assert await scene.router.route(a_job(), AGAIN) is AttemptOutcome.DELAYED
            waiting.append(asyncio.create_task(scene.router.route(a_job(), LAST)))
            await asyncio.sleep(1)
            assert not any(task.done() for task in waiting)
            waiting[0].cancel()
            waiting[2].cancel()
            await asyncio.wait([waiting[0], waiting[2]])
            again = asyncio.create_task(scene.router.route(a_job(), AGAIN))
            await asyncio.sleep(1)
            assert not again.done()
            scene.host.changed.set()
            assert [await waiting[1], await again] == [None, None]

        run(story())

    def test_no_longer_than_until_the_deadline(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.left_s = 30
            scene.host.held[MODEL] = ModelState.LOADING
            assert await scene.router.route(a_job(), FIRST) is None
            assert now() == pytest.approx(30)

        run(story())

    def test_no_longer_than_the_worker_takes_jobs(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held[MODEL] = ModelState.LOADING
            routing = asyncio.create_task(scene.router.route(a_job(), FIRST))
            await asyncio.sleep(5)
            scene.shutdown.drain()
            assert await routing is AttemptOutcome.RELEASED
            assert now() == pytest.approx(5)

        run(story())

    def test_a_host_that_fails_is_not_hidden(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held[MODEL] = ModelState.LOADING
            scene.host.fail_with = ValueError("defect")
            with pytest.raises(ValueError, match="defect"):
                await scene.router.route(a_job(), FIRST)

        run(story())

    def test_who_is_cancelled_leaves_nothing_running(self) -> None:
        async def story() -> None:
            scene = Scene()
            scene.host.held[MODEL] = ModelState.LOADING
            routing = asyncio.create_task(scene.router.route(a_job(), FIRST))
            await asyncio.sleep(1)
            routing.cancel()
            with suppress(asyncio.CancelledError):
                await routing
            await asyncio.sleep(0.01)
            assert len(asyncio.all_tasks()) == 1

        run(story())
