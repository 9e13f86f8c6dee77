"""Taking overdue and abandoned responses from the indexes: the rules of docs/deadlines.md."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from axon.deadlines import Deadlines
from axon.event_log.due import DueIndex, DueReason
from axon.event_log.indexes import RESEND_PAUSE_S
from tests.contract.axon.event_log.event_log_samples import (
    NEW,
    described,
    end,
    events,
    open_and_claim,
    prepare,
)
from tests.contract.conftest import TEST_LEASE_S, EventLogHarness, MakeHarness

SHORT = Deadlines(no_worker_s=0.9, queue_s=0.3, no_progress_s=0.5)
UNSERVED = replace(NEW, model="asleep")


async def taken(index: DueIndex, *, limit: int = 100) -> Sequence[tuple[str, DueReason]]:
    due = (await index.take_overdue(limit=limit)).due
    return [(each.meta.response_id, each.reason) for each in due]


@pytest.fixture
async def harness(make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
    async with make_harness(deadlines=SHORT, models=("asleep",)) as made:
        await prepare(made)
        yield made


class TestTakenResponse:
    async def test_has_the_state_that_its_end_needs(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        assert (await harness.due.take_overdue(limit=9)).due == []
        await harness.seconds(0.32)
        (due,) = (await harness.due.take_overdue(limit=9)).due
        assert due.meta == await described(harness.log)
        assert due.meta.job == NEW.job

    async def test_is_nobody_elses_until_the_lease_ends(self, harness: EventLogHarness) -> None:
        for number in range(5):
            await harness.log.open(replace(NEW, response_id=f"resp_{number}"))
        await harness.seconds(0.32)
        first = await harness.due.take_overdue(limit=3)
        second = await harness.other_due.take_overdue(limit=3)
        assert (len(first.due), first.more) == (3, True)
        assert (len(second.due), second.more) == (2, False)
        ids = {each.meta.response_id for each in (*first.due, *second.due)}
        assert ids == {f"resp_{number}" for number in range(5)}
        assert await taken(harness.other_due) == []
        await harness.seconds(TEST_LEASE_S + 0.02)
        assert len(await taken(harness.other_due)) == 5

    async def test_is_not_taken_again_once_it_has_ended(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        await harness.seconds(0.32)
        assert await taken(harness.due) == [("resp_1", DueReason.QUEUE)]
        await end(harness.log, claim)
        await harness.seconds(TEST_LEASE_S + 0.02)
        assert await taken(harness.due) == []

    async def test_is_not_taken_by_a_call_that_only_says_that_it_sweeps(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.seconds(0.32)
        assert await taken(harness.other_due, limit=0) == []
        assert await taken(harness.due) == [("resp_1", DueReason.QUEUE)]

    async def test_is_leased_when_it_is_abandoned_too(self, make_harness: MakeHarness) -> None:
        async with make_harness(resume_window_s=0.1) as harness:
            await prepare(harness)
            await harness.log.open(NEW)
            await harness.log.abandon("c1")
            assert (await harness.due.take_abandoned(limit=9)).due == []
            await harness.seconds(0.12)
            (due,) = (await harness.due.take_abandoned(limit=9)).due
            assert (due.meta.response_id, due.reason) == ("resp_1", DueReason.ABANDONED)
            assert (await harness.other_due.take_abandoned(limit=9)).due == []


class TestDeadline:
    async def test_of_a_running_response_moves_with_its_progress(
        self, harness: EventLogHarness
    ) -> None:
        claim = await open_and_claim(harness.log)
        for number in range(2, 6):
            await harness.seconds(0.25)
            await harness.log.append("resp_1", epoch=claim.epoch, events=events(number))
            assert await taken(harness.due) == []
        assert not await harness.due.is_overdue("resp_1")
        await harness.seconds(0.52)
        assert await harness.due.is_overdue("resp_1")
        assert await taken(harness.due) == [("resp_1", DueReason.NO_PROGRESS)]

    async def test_begins_again_with_the_claim_of_another_attempt(
        self, harness: EventLogHarness
    ) -> None:
        claim = await open_and_claim(harness.log)
        await harness.log.append("resp_1", epoch=claim.epoch, events=events(2))
        await harness.seconds(0.4)
        await harness.log.claim("resp_1")
        await harness.seconds(0.2)
        assert await taken(harness.due) == []

    async def test_of_a_waiting_response_runs_from_the_first_worker(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(UNSERVED)
        await harness.seconds(0.4)
        assert await taken(harness.due) == []
        await harness.models.register(("asleep",), retention_s=600)
        await harness.seconds(0.2)
        assert await taken(harness.due) == []
        await harness.seconds(0.12)
        assert await taken(harness.due) == [("resp_1", DueReason.QUEUE)]

    async def test_without_a_worker_comes_all_the_same(self, harness: EventLogHarness) -> None:
        await harness.log.open(UNSERVED)
        await harness.seconds(0.92)
        assert await taken(harness.due) == [("resp_1", DueReason.NO_WORKER)]

    async def test_by_the_hard_limit_does_not_move(self, make_harness: MakeHarness) -> None:
        limited = Deadlines(no_worker_s=9, queue_s=9, no_progress_s=9, hard_limit_s=0.4)
        async with make_harness(deadlines=limited) as harness:
            await prepare(harness)
            claim = await open_and_claim(harness.log)
            await open_and_claim(harness.log, "resp_2")
            for number in (2, 3):
                await harness.log.append("resp_1", epoch=claim.epoch, events=events(number))
                assert await taken(harness.due) == []
                await harness.seconds(0.22)
            # The other one has no output that could be handed out.
            assert dict(await taken(harness.due)) == {
                "resp_1": DueReason.HARD_LIMIT,
                "resp_2": DueReason.QUEUE,
            }

    async def test_is_unknown_without_a_log(self, harness: EventLogHarness) -> None:
        assert await harness.due.is_overdue("resp_1") is None
        await end(harness.log, await open_and_claim(harness.log))
        assert await harness.due.is_overdue("resp_1")


class TestResend:
    async def test_follows_only_after_a_pause_that_doubles(
        self, harness: EventLogHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("axon.testing.log_indexes", "axon.adapters.valkey.log_indexes"):
            monkeypatch.setattr(f"{module}.RESEND_PAUSE_S", 0.2)
        await harness.log.open(NEW)
        assert await harness.log.take_resend("resp_1")
        assert not await harness.log.take_resend("resp_1")
        await harness.seconds(0.22)
        assert await harness.log.take_resend("resp_1")
        await harness.seconds(0.3)
        assert not await harness.log.take_resend("resp_1")
        await harness.seconds(0.12)
        assert await harness.log.take_resend("resp_1")

    async def test_follows_at_once_after_one_that_failed(self, harness: EventLogHarness) -> None:
        assert RESEND_PAUSE_S >= 1
        await harness.log.open(NEW)
        assert await harness.log.take_resend("resp_1")
        await harness.log.undo_resend("resp_1")
        assert await harness.log.take_resend("resp_1")
        assert not await harness.log.take_resend("resp_1")

    async def test_never_follows_a_claim(self, harness: EventLogHarness) -> None:
        assert not await harness.log.take_resend("resp_1")
        await open_and_claim(harness.log)
        assert not await harness.log.take_resend("resp_1")
