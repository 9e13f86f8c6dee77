"""The registration of a worker and its list of peers, in virtual time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest

from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.exceptions import UnavailableError
from axon.testing.models import FakeModelDirectory
from axon.testing.worker_directory import FakeWorkerDirectory
from tests.support.virtual_time import now, run
from worker.cluster.registration import LocalWorker, WorkerRegistration

SERVING = (ModelStatus("a", ModelState.SERVING), ModelStatus("b", ModelState.SERVING))
PEER = WorkerState("other", slots=4, load=0, models=SERVING)


class RecordingModelDirectory(FakeModelDirectory):
    def __init__(self) -> None:
        super().__init__(clock=now)
        self.times: list[float] = []
        self.away_until = 0.0

    async def register(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        self.times.append(now())
        if now() < self.away_until:
            raise UnavailableError("no Valkey")
        await super().register(model_ids, retention_s=retention_s)


class RecordingWorkerDirectory(FakeWorkerDirectory):
    """`published` holds (time, load); each publication takes `publish_s` seconds."""

    def __init__(self) -> None:
        super().__init__(clock=now)
        self.calls: list[str] = []
        self.published: list[tuple[float, int]] = []
        self.publish_s = 0.0

    async def register(self, worker: WorkerState, *, lease_s: float = 15) -> None:
        self.calls.append("register")
        await super().register(worker, lease_s=lease_s)

    async def remove(self, worker_id: str) -> None:
        self.calls.append("remove")
        await super().remove(worker_id)

    async def note_load(self, worker_id: str, load: int) -> None:
        self.published.append((now(), load))
        await asyncio.sleep(self.publish_s)
        await super().note_load(worker_id, load)

    async def ids(self) -> list[str]:
        return [worker.worker_id for worker in await self.list()]


class RegistrationHarness:
    def __init__(self, *, retention_s: float = 60) -> None:
        self.models = RecordingModelDirectory()
        self.workers = RecordingWorkerDirectory()
        self.model_states: Sequence[ModelStatus] = SERVING
        self.load = 0
        self.connected = True
        self.registration = WorkerRegistration(
            worker=LocalWorker(
                worker_id="own",
                slots=8,
                models=lambda: self.model_states,
                load=lambda: self.load,
                connected=lambda: self.connected,
            ),
            models=self.models,
            workers=self.workers,
            retention_s=retention_s,
        )

    async def run_for(self, seconds: float) -> None:
        """Run the registration for this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.registration.run()


def test_registration_announces_at_once_and_while_the_worker_runs() -> None:
    async def story() -> None:
        harness = RegistrationHarness(retention_s=9)
        await harness.run_for(100)
        assert harness.models.times == [pytest.approx(3.0 * n) for n in range(34)]
        assert await harness.models.list() == ["a", "b"]
        await asyncio.sleep(10)
        assert await harness.models.list() == []

    run(story())


def test_registration_with_a_long_retention_is_renewed_every_few_seconds() -> None:
    async def story() -> None:
        harness = RegistrationHarness(retention_s=7 * 24 * 3600)
        await harness.run_for(100)
        assert 10 <= len(harness.models.times) <= 30

    run(story())


def test_registration_retries_soon_while_valkey_is_away() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        harness.models.away_until = 2.5
        await harness.run_for(1.5)
        assert not harness.registration.announced.is_set()
        await harness.run_for(2)
        assert harness.registration.announced.is_set()
        assert harness.models.times == [0, 1, 1.5, 2.5]
        assert await harness.models.list() == ["a", "b"]

    run(story())


def test_registration_announces_served_models_to_clients_and_all_states_to_peers() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        harness.load = 3
        harness.model_states = (
            *SERVING[:1],
            ModelStatus("c", ModelState.LOADING, version=3),
            ModelStatus("d", ModelState.FAILED, version=4, reason="too large"),
        )
        await harness.run_for(1)
        assert await harness.models.list() == ["a"]
        assert await harness.workers.list() == [
            WorkerState("own", slots=8, load=3, models=harness.model_states)
        ]

    run(story())


def test_registration_announces_a_change_at_once() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        running = asyncio.create_task(harness.registration.run())
        await asyncio.sleep(1)
        harness.model_states = SERVING[1:]
        harness.registration.announce_soon()
        await asyncio.sleep(0.01)
        assert (await harness.workers.list())[0].models == SERVING[1:]
        running.cancel()

    run(story())


def test_registration_with_peers_reads_the_directory_more_often() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        await harness.run_for(4)
        assert not harness.registration.peers
        assert len(harness.models.times) == 1
        await FakeWorkerDirectory.register(harness.workers, PEER, lease_s=10)
        await harness.run_for(9)
        assert list(harness.registration.peers) == [PEER]
        assert len(harness.models.times) == 1 + 5
        await harness.run_for(4)  # its lease ends
        assert not harness.registration.peers

    run(story())


def test_registration_has_no_peers_while_valkey_is_away() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        await FakeWorkerDirectory.register(harness.workers, PEER, lease_s=100)
        await harness.run_for(1)
        assert harness.registration.peers
        harness.models.away_until = now() + 1
        await harness.run_for(0.5)
        assert not harness.registration.peers
        await harness.run_for(2)
        assert harness.registration.peers

    run(story())


def test_registration_leaves_the_directory_while_disconnected() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        harness.connected = False
        await FakeWorkerDirectory.register(harness.workers, PEER, lease_s=100)
        await harness.run_for(2.5)
        assert await harness.workers.ids() == ["other"]
        assert harness.registration.announced.is_set()
        assert list(harness.registration.peers) == [PEER]
        harness.connected = True
        await harness.run_for(1.5)
        assert await harness.workers.ids() == ["other", "own"]
        harness.connected = False
        await harness.run_for(3)
        assert await harness.workers.ids() == ["other"]
        assert harness.workers.calls.count("remove") == 1

    run(story())


def test_registration_publishes_no_load_without_peers() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        await harness.run_for(1)
        harness.registration.load_changed()
        await asyncio.sleep(1)
        assert harness.workers.published == []

    run(story())


def test_registration_combines_load_changes_and_publishes_the_last() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        await FakeWorkerDirectory.register(harness.workers, PEER, lease_s=100)
        await harness.run_for(1)
        harness.workers.publish_s = 0.5
        for load in range(1, 21):
            harness.load = load
            harness.registration.load_changed()
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        assert 4 <= len(harness.workers.published) <= 6
        times = [at for at, _ in harness.workers.published]
        assert all(later - at >= 0.5 for at, later in pairwise(times))
        assert harness.workers.published[-1][1] == 20
        assert (await harness.workers.list())[1].load == 20
        harness.registration.load_changed()  # another time
        await asyncio.sleep(1)
        assert len(harness.workers.published) <= 7

    run(story())


def test_registration_recovers_from_a_load_that_could_not_be_published() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        await FakeWorkerDirectory.register(harness.workers, PEER, lease_s=100)
        await harness.run_for(1)
        harness.workers.fail_with = UnavailableError("no Valkey")
        harness.load = 1
        harness.registration.load_changed()
        await asyncio.sleep(0.1)
        harness.workers.fail_with = None
        harness.load = 2
        harness.registration.load_changed()
        await asyncio.sleep(0.1)
        assert (await harness.workers.list())[1].load == 2

    run(story())


def test_registration_that_leaves_is_removed_and_has_no_peers() -> None:
    async def story() -> None:
        harness = RegistrationHarness()
        await FakeWorkerDirectory.register(harness.workers, PEER, lease_s=100)
        await harness.run_for(1)
        await harness.registration.leave()
        assert await harness.workers.ids() == ["other"]
        assert not harness.registration.peers
        harness.workers.fail_with = UnavailableError("no Valkey")
        await harness.registration.leave()

    run(story())


def test_registration_limits_the_time_for_leaving() -> None:
    async def story() -> None:
        harness = RegistrationHarness()

        async def remove(worker_id: str) -> None:
            await asyncio.sleep(60)

        harness.workers.remove = remove  # type: ignore[method-assign]
        await harness.registration.leave()
        assert now() <= 3

    run(story())
