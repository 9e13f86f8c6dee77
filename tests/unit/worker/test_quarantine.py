"""Quarantine: how a worker becomes quiet for one attempt, and takes jobs again, in virtual time."""

import asyncio
from contextlib import suppress

import pytest

from axon.directory.quarantine import PERMIT_LEASE_S
from axon.exceptions import UnavailableError
from axon.testing.attempts import FakeQuarantinePermits
from tests.support.virtual_time import now, run
from worker.quarantine import HOLD_S, QUIET_S, Quarantine, QuarantineBusyError
from worker.shutdown import HandedOverError, Shutdown


class Permits(FakeQuarantinePermits):
    """Raises `fail_with`, if that is set."""

    def __init__(self) -> None:
        super().__init__(clock=now)
        self.fail_with: Exception | None = None

    async def acquire(self, holder: str) -> bool:
        if self.fail_with:
            raise self.fail_with
        return await super().acquire(holder)


class QuarantineHarness:
    """A worker with some jobs; `changes` records when it was in quarantine or no longer."""

    def __init__(self, permits: Permits, name: str = "w1") -> None:
        self.shutdown = Shutdown()
        self.quarantine = Quarantine(permits=permits, shutdown=self.shutdown, incarnation=name)
        self.jobs: set[asyncio.Task[None]] = set()
        self.changes: list[tuple[float, bool]] = []
        self.quarantine.watch(self.jobs)
        self.quarantine.listen(self._note)

    def _note(self) -> None:
        # A suspect that waits is reported, too, and changes nothing here.
        if self.quarantine.active is not (self.changes[-1][1] if self.changes else False):
            self.changes.append((now(), self.quarantine.active))

    def is_active(self) -> bool:
        """Return whether the worker takes no other jobs."""
        return self.quarantine.active

    def job(self, seconds: float, *, release_s: float = 0.0) -> asyncio.Task[None]:
        """Start a job that needs some seconds, and some to release its message."""

        async def work() -> None:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(release_s)
                await asyncio.sleep(release_s)
                raise

        task = asyncio.create_task(work())
        self.jobs.add(task)
        task.add_done_callback(self.jobs.discard)
        return task


def test_quarantine_begins_when_the_last_job_has_ended() -> None:
    async def story() -> None:
        harness = QuarantineHarness(Permits())
        jobs = [harness.job(3), harness.job(5)]
        await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        assert now() == 5
        assert not any(job.cancelled() for job in jobs)
        await harness.quarantine.end()
        await harness.quarantine.end()
        assert harness.changes == [(0, True), (5, False)]

    run(story())


def test_quarantine_releases_jobs_that_do_not_end_soon() -> None:
    async def story() -> None:
        harness = QuarantineHarness(Permits())
        short, long = harness.job(3), harness.job(600, release_s=1)
        await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        assert QUIET_S < now() <= QUIET_S + 3
        assert not short.cancelled()
        assert long.cancelled()
        assert not harness.jobs

    run(story())


def test_quarantine_gives_up_on_a_worker_that_does_not_become_quiet() -> None:
    async def story() -> None:
        permits = Permits()
        harness = QuarantineHarness(permits)
        harness.job(600, release_s=60)
        with pytest.raises(QuarantineBusyError):
            await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        assert now() <= 15
        assert not harness.quarantine.active
        await asyncio.sleep(20)
        await QuarantineHarness(permits, "w2").quarantine.begin_in_turn(groups_busy=lambda: False)

    run(story())


def test_quarantine_begins_once_in_a_fleet_and_not_again_at_once() -> None:
    async def story() -> None:
        permits = Permits()
        workers = [QuarantineHarness(permits, f"w{n}") for n in range(5)]
        answers = await asyncio.gather(
            *(
                worker.quarantine.begin_in_turn(groups_busy=lambda: False)
                for worker in workers
                for _ in range(2)
            ),
            return_exceptions=True,
        )
        assert len([each for each in answers if each is None]) == 1
        await asyncio.sleep(60)
        (isolated,) = (worker for worker in workers if worker.quarantine.active)
        with pytest.raises(QuarantineBusyError):
            await workers[-1].quarantine.begin_in_turn(groups_busy=lambda: False)
        await isolated.quarantine.end()
        ended = now()
        while True:
            try:
                await workers[0].quarantine.begin_in_turn(groups_busy=lambda: False)
            except QuarantineBusyError:
                await asyncio.sleep(0.5)
            else:
                break
        assert 10 <= now() - ended <= 20
        await workers[0].quarantine.end()

    run(story())


def test_quarantine_of_a_dead_worker_ends_with_its_lease() -> None:
    async def story() -> None:
        permits = Permits()
        assert await permits.acquire("dead")
        await asyncio.sleep(PERMIT_LEASE_S + 1)
        await QuarantineHarness(permits).quarantine.begin_in_turn(groups_busy=lambda: False)

    run(story())


def test_quarantine_does_not_begin_in_a_worker_that_drains() -> None:
    async def story() -> None:
        harness = QuarantineHarness(Permits())
        harness.job(600)
        asyncio.get_running_loop().call_later(2, harness.shutdown.drain)
        with pytest.raises(HandedOverError):
            await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        assert now() == 2
        assert not harness.quarantine.active
        assert len(harness.jobs) == 1  # the drain decides about it

    run(story())


def test_quarantine_needs_valkey_to_begin_and_not_to_go_on() -> None:
    async def story() -> None:
        permits = Permits()
        harness = QuarantineHarness(permits)
        permits.fail_with = UnavailableError("no Valkey")
        with pytest.raises(UnavailableError):
            await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        assert harness.changes == []
        permits.fail_with = None
        await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        permits.fail_with = UnavailableError("no Valkey")
        await asyncio.sleep(60)
        assert harness.quarantine.active
        await harness.quarantine.end()

    run(story())


def test_quarantine_passes_on_to_suspects_that_wait_and_then_ends_without_a_pause() -> None:
    async def story() -> None:
        permits = Permits()
        harness = QuarantineHarness(permits)
        quarantine = harness.quarantine
        began: list[float] = []

        async def suspect() -> None:
            await quarantine.begin_in_turn(groups_busy=lambda: False)
            began.append(now())
            await asyncio.sleep(3)
            await quarantine.end(proved=True)

        def start() -> asyncio.Task[None]:
            task = asyncio.create_task(suspect())
            harness.jobs.add(task)
            task.add_done_callback(harness.jobs.discard)
            return task

        first, second, gone, third = [start() for _ in range(4)]
        await asyncio.sleep(4)
        assert harness.is_active()
        assert quarantine.held == 2
        gone.cancel()
        await asyncio.wait([first, second, third])
        assert [first.exception(), second.exception(), third.exception()] == [None] * 3
        assert began == pytest.approx([0, 3.1, 6.2], abs=0.3)
        assert not harness.is_active()
        await QuarantineHarness(permits, "w2").quarantine.begin_in_turn(
            groups_busy=lambda: False
        )  # without a pause

    run(story())


def test_quarantine_that_is_passed_on_to_a_suspect_that_has_gone_ends() -> None:
    async def story() -> None:
        harness = QuarantineHarness(Permits())
        quarantine = harness.quarantine
        await quarantine.begin_in_turn(groups_busy=lambda: False)
        waiting = asyncio.create_task(quarantine.begin_in_turn(groups_busy=lambda: False))
        await asyncio.sleep(1)
        await quarantine.end(proved=True)
        assert harness.is_active()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not harness.is_active()
        assert quarantine.held == 0

    run(story())


def test_quarantine_ends_the_wait_of_a_suspect_at_its_limit_and_at_a_drain() -> None:
    async def story() -> None:
        harness = QuarantineHarness(Permits())
        quarantine = harness.quarantine
        await quarantine.begin_in_turn(groups_busy=lambda: False)
        with pytest.raises(QuarantineBusyError):
            await quarantine.begin_in_turn(groups_busy=lambda: False)
        assert HOLD_S <= now() <= HOLD_S + 1
        asyncio.get_running_loop().call_later(2, harness.shutdown.drain)
        with pytest.raises(HandedOverError):
            await quarantine.begin_in_turn(groups_busy=lambda: False)
        assert HOLD_S + 2 <= now() <= HOLD_S + 3
        await quarantine.end()

    run(story())
