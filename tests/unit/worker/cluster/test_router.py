"""The router and its hand-over to peers, in virtual time."""

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
from worker.cluster.handover import JobHandover
from worker.cluster.router import Router, RoutingPolicy
from worker.metrics import WorkerMetrics
from worker.outcome import DELAYED, FORWARDED, RELEASED
from worker.shutdown import Shutdown

FIRST = ReceivedJob(body="{}", receipt_handle="r", receive_count=1, message_id="m")
AGAIN = ReceivedJob(body="{}", receipt_handle="r", receive_count=2, message_id="m")
LAST = ReceivedJob(body="{}", receipt_handle="r", receive_count=3, message_id="m")
FROM_PEER = ReceivedJob(
    body="{}", receipt_handle="r", receive_count=1, message_id="m", forwarded=True
)


class ScriptedModels:
    """Model states that a test sets; `ready` waits for `changed`."""

    def __init__(self) -> None:
        self.states: dict[str, ModelState] = {MODEL: ModelState.SERVING}
        self.changed = asyncio.Event()
        self.fail_with: Exception | None = None

    def state_of(self, model: str) -> ModelState | None:
        return self.states.get(model)

    async def ready(self, model: str) -> bool:
        if self.fail_with:
            raise self.fail_with
        await self.changed.wait()
        return self.states.get(model) is ModelState.SERVING


@dataclass
class PeerList:
    peers: Sequence[WorkerState] = field(default_factory=tuple)

    def forget_peers(self) -> None:
        self.peers = ()


class RecordingDirectory(FakeWorkerDirectory):
    def __init__(self) -> None:
        super().__init__(clock=now)
        self.calls: list[tuple[list[str], bool]] = []
        self.takes_s = 0.0

    async def hand_over(
        self, received: ReceivedJob, *, own_id: str, order: Sequence[str], bounded: bool = True
    ) -> str:
        self.calls.append((list(order), bounded))
        await asyncio.sleep(self.takes_s)
        return await super().hand_over(received, own_id=own_id, order=order, bounded=bounded)


class RouterHarness:
    """The router of worker w1, and its peers."""

    def __init__(self, *, prefix_affinity: bool = True, max_waiting: int = 2) -> None:
        self.models = ScriptedModels()
        self.directory = RecordingDirectory()
        self.peers = PeerList()
        self.shutdown = Shutdown()
        self.registry = CollectorRegistry()
        self.left_s = 600.0
        self.router = Router(
            models=self.models,
            handover=JobHandover(
                worker_id="w1",
                directory=self.directory,
                peers=self.peers,
                metrics=WorkerMetrics(registry=self.registry),
                shutdown=self.shutdown,
            ),
            policy=RoutingPolicy(
                prefix_affinity=prefix_affinity, max_waiting=max_waiting, max_receives=3
            ),
            left_s=lambda _: self.left_s,
            shutdown=self.shutdown,
        )

    async def add_peers(
        self, *loads: int, state: ModelState = ModelState.SERVING, own: int = 1
    ) -> None:
        """Register w2, w3 and so on with these loads, and w1 with its own."""
        states = [ModelStatus(MODEL, state)]
        workers = [
            WorkerState(f"w{number}", slots=8, load=load, models=states)
            for number, load in enumerate((own, *loads), start=1)
        ]
        for worker in workers:
            await self.directory.register(worker, lease_s=1000)
        self.peers.peers = workers[1:]

    def forwarded(self, reason: str) -> float | None:
        return self.registry.get_sample_value("axon_jobs_forwarded_total", {"reason": reason})

    def handed_over_to(self) -> list[str]:
        return [worker_id for worker_id, _ in self.directory.handed_over]


def job_of(first: str, *others: str) -> Job:
    """Return a job whose conversation has this worker first."""
    nodes = (first, *others)
    names = (f"conv_{number}" for number in range(1000))
    return a_job(conversation_id=next(n for n in names if ranked(n, nodes)[0] == first))


class TestPrefixAffinity:
    def test_router_hands_a_conversation_over_to_its_preferred_worker(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(0, 0)
            job = job_of("w3", "w1", "w2")
            assert await harness.router.route(job, FIRST) is FORWARDED
            assert [worker_id for worker_id, _ in harness.directory.handed_over] == ["w3"]
            assert (harness.forwarded("prefix"), harness.forwarded("model")) == (1, 0)

        run(story())

    def test_router_hands_over_to_the_next_worker_if_the_preferred_one_is_full(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(9, 0)
            job = job_of("w2", "w3", "w1")
            second = ranked(job.conversation_id, ["w1", "w2", "w3"])[1]
            outcome = await harness.router.route(job, FIRST)
            assert harness.handed_over_to() == ([] if second == "w1" else [second])
            assert outcome is (None if second == "w1" else FORWARDED)

        run(story())

    def test_router_runs_its_own_conversation_without_a_call(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(0, own=50)
            assert await harness.router.route(job_of("w1", "w2"), FIRST) is None
            assert harness.directory.calls == []

        run(story())

    @pytest.mark.parametrize("received", [AGAIN, LAST, FROM_PEER])
    def test_router_applies_affinity_only_to_the_first_receive(self, received: ReceivedJob) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(0)
            assert await harness.router.route(job_of("w2", "w1"), received) is None
            assert harness.directory.calls == []

        run(story())

    def test_router_without_prefix_affinity_hands_nothing_over(self) -> None:
        async def story() -> None:
            harness = RouterHarness(prefix_affinity=False)
            await harness.add_peers(0)
            assert await harness.router.route(job_of("w2", "w1"), FIRST) is None
            assert harness.directory.calls == []

        run(story())

    def test_router_never_prefers_a_peer_that_does_not_serve_the_model(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(0, state=ModelState.LOADING)
            assert await harness.router.route(job_of("w2", "w1"), FIRST) is None
            assert harness.directory.calls == []

        run(story())

    def test_router_without_peers_makes_no_call(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.directory.fail_with = AssertionError("calls")
            for received in (FIRST, AGAIN, FROM_PEER):
                assert await harness.router.route(a_job(), received) is None

        run(story())

    def test_router_that_drains_hands_nothing_over(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(0)
            harness.shutdown.drain()
            assert await harness.router.route(job_of("w2", "w1"), FIRST) is None
            assert harness.directory.calls == []

        run(story())


class TestValkeyAway:
    @pytest.mark.parametrize("slow", [False, True])
    def test_router_runs_jobs_here_and_only_the_first_waits(self, slow: bool) -> None:
        async def story() -> None:
            harness = RouterHarness()
            await harness.add_peers(0)
            if slow:
                harness.directory.takes_s = 60
            else:
                harness.directory.fail_with = UnavailableError("no Valkey")
            for _ in range(3):
                assert await harness.router.route(job_of("w2", "w1"), FIRST) is None
            assert len(harness.directory.calls) == 1
            assert now() <= 1.01
            assert harness.forwarded("prefix") == 0

        run(story())


class TestModelElsewhere:
    def test_router_hands_a_job_over_to_a_peer_that_serves_its_model(self) -> None:
        async def story() -> None:
            for received in (FIRST, AGAIN, LAST):
                harness = RouterHarness(prefix_affinity=False)
                harness.models.states.clear()
                await harness.add_peers(0, 0)
                assert await harness.router.route(job_of("w3", "w2"), received) is FORWARDED
                assert harness.handed_over_to() == ["w3"]
                assert (harness.forwarded("prefix"), harness.forwarded("model")) == (0, 1)

        run(story())

    def test_router_prefers_a_full_peer_to_none(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states.clear()
            await harness.add_peers(0, 50)
            harness.directory.disconnected.add("w2")
            assert await harness.router.route(a_job(), FIRST) is FORWARDED
            assert harness.handed_over_to() == ["w3"]

        run(story())

    def test_router_runs_a_job_here_if_no_worker_serves_its_model(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states = {"another": ModelState.SERVING}
            assert await harness.router.route(a_job(), FIRST) is None
            await harness.add_peers(0, state=ModelState.FAILED)
            assert await harness.router.route(a_job(), FIRST) is None
            assert harness.directory.calls == []

        run(story())

    def test_router_delays_a_forwarded_job_whose_model_was_unloaded(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states.clear()
            await harness.add_peers(0)
            assert await harness.router.route(a_job(), FROM_PEER) is DELAYED
            assert harness.directory.calls == []

        run(story())

    def test_router_delays_a_job_whose_model_a_peer_loads(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states.clear()
            await harness.add_peers(0, state=ModelState.LOADING)
            assert await harness.router.route(a_job(), FIRST) is DELAYED
            assert await harness.router.route(a_job(), LAST) is None

        run(story())


class TestModelLoading:
    @pytest.mark.parametrize("received", [FIRST, AGAIN, FROM_PEER])
    @pytest.mark.parametrize("state", [ModelState.SERVING, ModelState.FAILED])
    def test_router_waits_until_the_model_is_loaded_or_has_failed(
        self, received: ReceivedJob, state: ModelState
    ) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states[MODEL] = ModelState.LOADING
            routing = asyncio.create_task(harness.router.route(a_job(), received))
            await asyncio.sleep(100)
            assert not routing.done()
            harness.models.states[MODEL] = state
            harness.models.changed.set()
            assert await routing is None
            assert now() == pytest.approx(100)

        run(story())

    def test_router_hands_over_instead_of_waiting_if_a_peer_serves_the_model(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states[MODEL] = ModelState.LOADING
            await harness.add_peers(0)
            assert await harness.router.route(a_job(), FIRST) is FORWARDED

        run(story())

    def test_router_limits_waiting_jobs_except_on_their_last_receive(self) -> None:
        async def story() -> None:
            harness = RouterHarness(max_waiting=2)
            harness.models.states[MODEL] = ModelState.LOADING
            waiting = [asyncio.create_task(harness.router.route(a_job(), FIRST)) for _ in range(2)]
            await asyncio.sleep(1)
            assert await harness.router.route(a_job(), AGAIN) is DELAYED
            waiting.append(asyncio.create_task(harness.router.route(a_job(), LAST)))
            await asyncio.sleep(1)
            assert not any(task.done() for task in waiting)
            waiting[0].cancel()
            waiting[2].cancel()
            await asyncio.wait([waiting[0], waiting[2]])
            again = asyncio.create_task(harness.router.route(a_job(), AGAIN))
            await asyncio.sleep(1)
            assert not again.done()
            harness.models.changed.set()
            assert [await waiting[1], await again] == [None, None]

        run(story())

    def test_router_waits_no_longer_than_the_deadline(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.left_s = 30
            harness.models.states[MODEL] = ModelState.LOADING
            assert await harness.router.route(a_job(), FIRST) is None
            assert now() == pytest.approx(30)

        run(story())

    def test_router_stops_waiting_when_the_worker_drains(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states[MODEL] = ModelState.LOADING
            routing = asyncio.create_task(harness.router.route(a_job(), FIRST))
            await asyncio.sleep(5)
            harness.shutdown.drain()
            assert await routing is RELEASED
            assert now() == pytest.approx(5)

        run(story())

    def test_router_raises_an_unexpected_error_of_the_models(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states[MODEL] = ModelState.LOADING
            harness.models.fail_with = ValueError("defect")
            with pytest.raises(ValueError, match="defect"):
                await harness.router.route(a_job(), FIRST)

        run(story())

    def test_router_that_is_cancelled_leaves_no_task_running(self) -> None:
        async def story() -> None:
            harness = RouterHarness()
            harness.models.states[MODEL] = ModelState.LOADING
            routing = asyncio.create_task(harness.router.route(a_job(), FIRST))
            await asyncio.sleep(1)
            routing.cancel()
            with suppress(asyncio.CancelledError):
                await routing
            await asyncio.sleep(0.01)
            assert len(asyncio.all_tasks()) == 1

        run(story())
