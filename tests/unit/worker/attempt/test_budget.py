"""The budget of attempts: who is noted, who runs alone, and for how long, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from axon.event_log.attempts import AttemptNote
from axon.exceptions import FencedError, RequestError, UnavailableError
from axon.retry import RetryPolicy
from axon.testing.attempts import FakeAttemptNotes, FakeQuarantinePermits
from axon.testing.event_log import FakeValkey
from tests.support.virtual_time import now, run
from tests.unit.axon.responses.service_harness import ResponseHarness
from worker.attempt.budget import QUARANTINE_S, AttemptBudget, Progress
from worker.attempt.endings import CondemnedError
from worker.engines.protocol import EngineDeadError, UnloadedError
from worker.pipeline.stage import StageFullError
from worker.quarantine import Quarantine, QuarantineBusyError
from worker.shutdown import HandedOverError, Shutdown

ALONE, RELEASED, FAILED = AttemptNote.ALONE, AttemptNote.RELEASED, AttemptNote.FAILED
IN_COMPANY = AttemptNote.IN_COMPANY


class BudgetHarness:
    """One response, and a worker whose attempts it bounds."""

    def __init__(self) -> None:
        self.responses = ResponseHarness()
        self.valkey: FakeValkey = self.responses.valkey
        self.notes: FakeAttemptNotes = self.valkey.attempt_notes
        self.quarantine = Quarantine(
            permits=FakeQuarantinePermits(clock=now), shutdown=Shutdown(), incarnation="w1"
        )
        self.budget = AttemptBudget(
            notes=self.notes, quarantine=self.quarantine, max_attempts=3, slots=64
        )
        self.response_id = ""

    def is_alone(self) -> bool:
        """Return whether an attempt runs alone."""
        return self.quarantine.active

    async def attempt(
        self, work: Callable[[Progress], Awaitable[None]], *, attempts: int = 1, died: bool = False
    ) -> None:
        """Run an attempt; `attempts` have made no progress, this one included."""
        if not self.response_id:
            await self.responses.begin()
            self.response_id = await self.responses.submit()
        claim = await self.valkey.claim(self.response_id, in_progress=b"{}", message_id="m")
        claimed = replace(claim, attempts=attempts, died_alone=died)
        async with self.budget.spend(self.response_id, claimed, retry=RetryPolicy()) as progress:
            await work(progress)

    async def failing(self, error: BaseException, *, attempts: int = 1) -> list[AttemptNote]:
        """Run an attempt that an error ends; return its notes."""

        async def work(progress: Progress) -> None:
            raise error

        with pytest.raises(type(error)):
            await self.attempt(work, attempts=attempts)
        return self.notes.noted


@pytest.mark.parametrize(
    ("error", "in_company", "alone"),
    [
        (HandedOverError(), [RELEASED], [ALONE, RELEASED]),
        (UnloadedError("gone"), [RELEASED], [ALONE, RELEASED]),
        (UnavailableError("away"), [RELEASED], [ALONE, RELEASED]),
        (StageFullError("infer"), [RELEASED], [ALONE, RELEASED]),
        (asyncio.CancelledError(), [RELEASED], [ALONE, RELEASED]),
        (EngineDeadError("dead"), [], [ALONE, FAILED]),
        (KeyError("a bug"), [], [ALONE, FAILED]),
        (FencedError("newer"), [], [ALONE]),
        (RequestError("no", code="c"), [], [ALONE]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_budget_notes_how_an_attempt_without_progress_ended(
    error: BaseException, in_company: list[AttemptNote], alone: list[AttemptNote]
) -> None:
    async def story() -> None:
        assert await BudgetHarness().failing(error) == in_company
        harness = BudgetHarness()
        assert await harness.failing(error, attempts=3) == alone
        assert not harness.is_alone()

    run(story())


def test_budget_ends_the_quarantine_with_the_first_progress() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def work(progress: Progress) -> None:
            assert harness.is_alone()
            await asyncio.sleep(5)
            await progress.made()
            assert not harness.is_alone()
            await asyncio.sleep(100)
            raise HandedOverError

        with pytest.raises(HandedOverError):
            await harness.attempt(work, attempts=3)
        # The log has grown: the next claim needs no note.
        assert harness.notes.noted == [ALONE]

    run(story())


def test_budget_limits_a_quarantine_without_progress() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def work(progress: Progress) -> None:
            await asyncio.sleep(QUARANTINE_S - 1)
            assert harness.is_alone()
            harness.notes.fail_with = UnavailableError("no Valkey")
            await asyncio.sleep(30)
            # To go on in company without the note could condemn it for another one's fault.
            assert harness.is_alone()
            harness.notes.fail_with = None
            await asyncio.sleep(10)
            assert not harness.is_alone()

        await harness.attempt(work, attempts=3)
        assert harness.notes.noted == [ALONE, IN_COMPANY]

    run(story())


def test_budget_ends_the_quarantine_of_an_attempt_that_is_cancelled_as_it_ends() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def work(progress: Progress) -> None:
            assert harness.is_alone()
            # Takes effect at the next wait: for the end of the task that limits the quarantine.
            asyncio.get_running_loop().call_soon(running.cancel)

        running = asyncio.create_task(harness.attempt(work, attempts=3))
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not harness.is_alone()

    run(story())


def test_budget_condemns_who_died_alone_without_another_attempt() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def work(progress: Progress) -> None:
            raise AssertionError("it is attempted again")

        with pytest.raises(CondemnedError):
            await harness.attempt(work, attempts=4, died=True)
        assert not harness.is_alone()

    run(story())


def test_budget_delays_a_suspect_while_another_one_is_in_quarantine() -> None:
    async def story() -> None:
        harness = BudgetHarness()
        await harness.quarantine.begin_in_turn(groups_busy=lambda: False)
        assert await harness.failing(QuarantineBusyError(), attempts=3) == [RELEASED]

    run(story())


def test_budget_bounds_the_time_for_a_note() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def hang(*_: object, **__: object) -> None:
            await asyncio.sleep(3600)

        harness.notes.note = hang  # type: ignore[method-assign]
        await harness.failing(HandedOverError())
        assert now() <= 1

    run(story())


def test_budget_counts_no_suspect_that_waits_for_its_group() -> None:
    async def story() -> None:
        harness = BudgetHarness()
        began: list[float] = []

        async def work(progress: Progress) -> None:
            began.append(now())
            await asyncio.sleep(5)
            await progress.made()
            await asyncio.sleep(100)

        running = [asyncio.create_task(harness.attempt(work, attempts=2)) for _ in range(8)]
        await asyncio.sleep(1)
        waiting = asyncio.create_task(harness.attempt(work, attempts=2))
        await asyncio.sleep(3)
        assert harness.notes.noted == [RELEASED]
        assert len(began) == 8
        await asyncio.sleep(2)
        assert harness.notes.noted == [RELEASED, IN_COMPANY]
        assert 5 <= began[-1] <= 5.5
        for task in (*running, waiting):
            task.cancel()
        await asyncio.wait((*running, waiting))

    run(story())


def test_budget_notes_the_end_of_an_attempt_alone_when_valkey_is_back() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def work(progress: Progress) -> None:
            harness.notes.fail_with = UnavailableError("no Valkey")
            raise HandedOverError

        running = asyncio.create_task(harness.attempt(work, attempts=3))
        await asyncio.sleep(5)
        running.cancel()  # by the drain, whose hand-over takes 5 s
        await asyncio.sleep(3)
        assert not running.done()  # so the message is held
        harness.notes.fail_with = None
        with pytest.raises(asyncio.CancelledError):
            await running
        assert now() <= 9.5
        assert harness.notes.noted == [ALONE, RELEASED]
        assert not harness.is_alone()
        harness.valkey.dead_workers.add("w1")
        claim = await harness.valkey.claim(harness.response_id, in_progress=b"{}", message_id="m")
        assert not claim.died_alone

    run(story())


def test_budget_bounds_the_time_for_the_note_of_an_attempt_alone() -> None:
    async def story() -> None:
        harness = BudgetHarness()

        async def work(progress: Progress) -> None:
            harness.notes.fail_with = UnavailableError("no Valkey")
            raise HandedOverError

        with pytest.raises(HandedOverError):
            await harness.attempt(work, attempts=3)
        assert 10 <= now() <= 16

    run(story())
