"""What a worker announces, when, and whom it knows; in virtual time."""

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
from worker.cluster.registration import WorkerRegistration

SERVING = (ModelStatus("a", ModelState.SERVING), ModelStatus("b", ModelState.SERVING))
OTHER = WorkerState("other", slots=4, load=0, models=SERVING)


class Models(FakeModelDirectory):
    def __init__(self) -> None:
        super().__init__(clock=now)
        self.times: list[float] = []
        self.away_until = 0.0

    async def announce(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        self.times.append(now())
        if now() < self.away_until:
            raise UnavailableError("no Valkey")
        await super().announce(model_ids, retention_s=retention_s)


class Workers(FakeWorkerDirectory):
    """Takes `note_s` for a note; `notes` are what it was told, and when."""

    def __init__(self) -> None:
        super().__init__(clock=now)
        self.calls: list[str] = []
        self.notes: list[tuple[float, int]] = []
        self.note_s = 0.0

    async def announce(self, worker: WorkerState, *, lease_s: float = 15) -> None:
        self.calls.append("announce")
        await super().announce(worker, lease_s=lease_s)

    async def leave(self, worker_id: str) -> None:
        self.calls.append("leave")
        await super().leave(worker_id)

    async def note_load(self, worker_id: str, load: int) -> None:
        self.notes.append((now(), load))
        await asyncio.sleep(self.note_s)
        await super().note_load(worker_id, load)

    async def ids(self) -> list[str]:
        return [worker.worker_id for worker in await self.list()]


class Scene:
    def __init__(self, *, retention_s: float = 60) -> None:
        self.models = Models()
        self.workers = Workers()
        self.held: Sequence[ModelStatus] = SERVING
        self.load = 0
        self.listens = True
        self.registration = WorkerRegistration(
            worker_id="own",
            models=self.models,
            workers=self.workers,
            held=lambda: self.held,
            slots=8,
            load=lambda: self.load,
            listens=lambda: self.listens,
            retention_s=retention_s,
        )

    async def pass_(self, seconds: float) -> None:
        """Announce for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.registration.run()


def test_at_once_and_for_as_long_as_the_worker_runs() -> None:
    async def story() -> None:
        scene = Scene(retention_s=9)
        await scene.pass_(100)
        assert scene.models.times == [pytest.approx(3.0 * n) for n in range(34)]
        assert await scene.models.list() == ["a", "b"]
        await asyncio.sleep(10)
        assert await scene.models.list() == []

    run(story())


def test_a_valkey_that_forgot_is_told_again_soon_though_the_retention_is_long() -> None:
    async def story() -> None:
        scene = Scene(retention_s=7 * 24 * 3600)
        await scene.pass_(100)
        assert 10 <= len(scene.models.times) <= 30

    run(story())


def test_valkey_away_is_asked_again_soon() -> None:
    async def story() -> None:
        scene = Scene()
        scene.models.away_until = 2.5
        await scene.pass_(1.5)
        assert not scene.registration.announced.is_set()
        await scene.pass_(2)
        assert scene.registration.announced.is_set()
        assert scene.models.times == [0, 1, 1.5, 2.5]
        assert await scene.models.list() == ["a", "b"]

    run(story())


def test_only_what_is_served_may_be_asked_for_but_all_of_it_is_told() -> None:
    async def story() -> None:
        scene = Scene()
        scene.load = 3
        scene.held = (
            *SERVING[:1],
            ModelStatus("c", ModelState.LOADING, version=3),
            ModelStatus("d", ModelState.FAILED, version=4, reason="too large"),
        )
        await scene.pass_(1)
        assert await scene.models.list() == ["a"]
        assert await scene.workers.list() == [
            WorkerState("own", slots=8, load=3, models=scene.held)
        ]

    run(story())


def test_what_has_changed_is_announced_at_once() -> None:
    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.registration.run())
        await asyncio.sleep(1)
        scene.held = SERVING[1:]
        scene.registration.announce_soon()
        await asyncio.sleep(0.01)
        assert (await scene.workers.list())[0].models == SERVING[1:]
        running.cancel()

    run(story())


def test_those_beside_it_are_known_and_looked_for_more_often() -> None:
    async def story() -> None:
        scene = Scene()
        await scene.pass_(4)
        assert not scene.registration.others
        assert len(scene.models.times) == 1
        await FakeWorkerDirectory.announce(scene.workers, OTHER, lease_s=10)
        await scene.pass_(9)
        assert list(scene.registration.others) == [OTHER]
        assert len(scene.models.times) == 1 + 5
        await scene.pass_(4)  # its lease ends
        assert not scene.registration.others

    run(story())


def test_nobody_is_there_while_valkey_is_away() -> None:
    async def story() -> None:
        scene = Scene()
        await FakeWorkerDirectory.announce(scene.workers, OTHER, lease_s=100)
        await scene.pass_(1)
        assert scene.registration.others
        scene.models.away_until = now() + 1
        await scene.pass_(0.5)
        assert not scene.registration.others
        await scene.pass_(2)
        assert scene.registration.others

    run(story())


def test_who_hears_nothing_is_not_there() -> None:
    async def story() -> None:
        scene = Scene()
        scene.listens = False
        await FakeWorkerDirectory.announce(scene.workers, OTHER, lease_s=100)
        await scene.pass_(2.5)
        assert await scene.workers.ids() == ["other"]
        assert scene.registration.announced.is_set()
        assert list(scene.registration.others) == [OTHER]
        scene.listens = True
        await scene.pass_(1.5)
        assert await scene.workers.ids() == ["other", "own"]
        scene.listens = False
        await scene.pass_(3)
        assert await scene.workers.ids() == ["other"]
        assert scene.workers.calls.count("leave") == 1

    run(story())


def test_a_load_is_noted_only_for_others() -> None:
    async def story() -> None:
        scene = Scene()
        await scene.pass_(1)
        scene.registration.load_changed()
        await asyncio.sleep(1)
        assert scene.workers.notes == []

    run(story())


def test_notes_do_not_pile_up_and_the_last_is_true() -> None:
    async def story() -> None:
        scene = Scene()
        await FakeWorkerDirectory.announce(scene.workers, OTHER, lease_s=100)
        await scene.pass_(1)
        scene.workers.note_s = 0.5
        for load in range(1, 21):
            scene.load = load
            scene.registration.load_changed()
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        assert 4 <= len(scene.workers.notes) <= 6
        times = [at for at, _ in scene.workers.notes]
        assert all(later - at >= 0.5 for at, later in pairwise(times))
        assert scene.workers.notes[-1][1] == 20
        assert (await scene.workers.list())[1].load == 20
        scene.registration.load_changed()  # another time
        await asyncio.sleep(1)
        assert len(scene.workers.notes) <= 7

    run(story())


def test_a_note_that_fails_is_made_good_by_the_next() -> None:
    async def story() -> None:
        scene = Scene()
        await FakeWorkerDirectory.announce(scene.workers, OTHER, lease_s=100)
        await scene.pass_(1)
        scene.workers.fail_with = UnavailableError("no Valkey")
        scene.load = 1
        scene.registration.load_changed()
        await asyncio.sleep(0.1)
        scene.workers.fail_with = None
        scene.load = 2
        scene.registration.load_changed()
        await asyncio.sleep(0.1)
        assert (await scene.workers.list())[1].load == 2

    run(story())


def test_who_leaves_is_not_there_and_knows_nobody() -> None:
    async def story() -> None:
        scene = Scene()
        await FakeWorkerDirectory.announce(scene.workers, OTHER, lease_s=100)
        await scene.pass_(1)
        await scene.registration.leave()
        assert await scene.workers.ids() == ["other"]
        assert not scene.registration.others
        scene.workers.fail_with = UnavailableError("no Valkey")
        await scene.registration.leave()

    run(story())


def test_leaving_does_not_take_long_though_valkey_does() -> None:
    async def story() -> None:
        scene = Scene()

        async def leave(worker_id: str) -> None:
            await asyncio.sleep(60)

        scene.workers.leave = leave  # type: ignore[method-assign]
        await scene.registration.leave()
        assert now() <= 3

    run(story())
