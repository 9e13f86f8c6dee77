"""Sweeps whose ends hang, in virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from typing_extensions import override

from axon.adapters.valkey.due_index import AWAY_S, LEASE_S
from axon.event_log.due import DueIndex, DueReason, DueResponse, Taken
from axon.event_log.log import ResponseMeta, Status
from axon.responses.sweeper import AT_ONCE, END_WITHIN_S, ResponseSweeper
from tests.support import virtual_time


@dataclass
class HangingHarness:
    """An index with responses that are due, and a terminator that ends none of them."""

    due: int
    calls: list[tuple[float, int]] = field(default_factory=list)
    running: int = 0
    given_up_at: list[float] = field(default_factory=list)

    def sweeper(self, make_index: Callable[["HangingHarness"], DueIndex]) -> ResponseSweeper:
        return ResponseSweeper(index=make_index(self), terminator=self)

    async def end(
        self,
        response_id: str,
        status: Status,
        *,
        error: dict[str, str] | None = None,
        reason: str | None = None,
        known: ResponseMeta | None = None,
    ) -> None:
        self.running += 1
        try:
            await asyncio.sleep(1000)
        finally:
            self.running -= 1
            self.given_up_at.append(virtual_time.now())


class CountingIndex(DueIndex):
    """Leases what is left, and notes when it was asked."""

    def __init__(self, harness: HangingHarness) -> None:
        self._harness = harness

    @override
    async def take_overdue(self, *, limit: int) -> Taken:
        harness = self._harness
        harness.calls.append((virtual_time.now(), limit))
        count = min(limit, harness.due)
        harness.due -= count
        meta = ResponseMeta(
            response_id="resp_1",
            tenant_id="t",
            connection_id="c1",
            relay_id="r1",
            status=Status.QUEUED,
            epoch=0,
            next_sequence=1,
        )
        return Taken([DueResponse(meta, DueReason.QUEUE)] * count, more=harness.due > 0)

    @override
    async def take_abandoned(self, *, limit: int) -> Taken:
        return await self.take_overdue(limit=limit)

    @override
    async def is_overdue(self, response_id: str) -> bool | None:
        return True


def swept(due: int) -> HangingHarness:
    harness = HangingHarness(due=due)
    virtual_time.run(harness.sweeper(CountingIndex).end_overdue())
    return harness


def test_sweeper_gives_an_end_up_before_its_lease_ends() -> None:
    harness = swept(3)
    assert harness.given_up_at == [END_WITHIN_S] * 3
    assert END_WITHIN_S < LEASE_S


def test_sweeper_is_seen_to_sweep_while_its_ends_hang() -> None:
    harness = swept(3 * AT_ONCE)
    asked = [at for at, _ in harness.calls]
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert max(gaps) <= AWAY_S / 5
    assert len(asked) < 100
    assert harness.due == 0
    assert len(harness.given_up_at) == 3 * AT_ONCE


def test_sweeper_takes_what_becomes_due_while_its_last_end_hangs() -> None:
    async def scenario() -> None:
        harness = HangingHarness(due=1)
        sweep = asyncio.create_task(harness.sweeper(CountingIndex).end_overdue())
        await asyncio.sleep(0.5)
        harness.due = 1
        await asyncio.sleep(1)
        assert harness.running == 2
        sweep.cancel()

    virtual_time.run(scenario())


def test_sweeper_says_once_of_a_response_that_it_cannot_be_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class BrokenHarness(HangingHarness):
        @override
        async def end(self, *_arguments: object, **_fields: object) -> None:
            raise ValueError("cannot be decoded")

    async def scenario() -> None:
        harness = BrokenHarness(due=1)
        sweeper = harness.sweeper(CountingIndex)
        for _ in range(3):  # as its lease ends each time
            harness.due = 1
            await sweeper.end_overdue()

    virtual_time.run(scenario())
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        f"resp_1 could not be ended: {DueReason.QUEUE}"
    ]
