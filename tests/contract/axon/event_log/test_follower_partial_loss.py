"""Failovers that lose events which followers have: no other attempt's events follow on them."""

import asyncio

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import ResponseMeta, Status
from axon.exceptions import LostEventsError
from tests.contract.axon.event_log.follower_harness import (
    Author,
    FollowerHarness,
    MakeFollower,
    Reader,
)

LONG_S = 60.0


async def fail_over(harness: FollowerHarness) -> tuple[Author, Reader]:
    """Return a response that has lost its last 2 events, and a follower that has them."""
    author = await harness.open()
    before = harness.snapshot()
    reader = harness.reader(author)
    await author.append(2)
    await reader.has_all()
    harness.rewind(before)
    return author, reader


async def overtake(harness: FollowerHarness, author: Author) -> None:
    """Continue the log by another attempt, which does not hold the last 2 events."""
    author.epoch = (await harness.log.claim(author.response_id)).epoch
    author.written = author.written[:2]
    await author.append(5)
    await author.complete()


async def stopped(reader: Reader) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(LostEventsError):
            await reader.task


async def test_follower_waits_for_the_holder_of_lost_events(make_follower: MakeFollower) -> None:
    async with make_follower(restore_s=LONG_S) as harness:
        author, reader = await fail_over(harness)
        await asyncio.sleep(0.1)  # the follower finds a log that is shorter
        had, author.written = author.written, author.written[:2]
        await author.append(2)
        assert author.written == had
        await author.append(3)
        await author.complete()
        await reader.ends()


@pytest.mark.parametrize("confirmed", [False, True])
async def test_follower_gets_no_other_attempts_events(
    make_follower: MakeFollower, *, confirmed: bool
) -> None:
    """Also where the delivery is not as far as the follower, and says so before the claim."""
    async with make_follower(restore_s=LONG_S) as harness:
        author, reader = await fail_over(harness)
        had = author.written
        if confirmed:
            await harness.log.checkpoint(
                author.response_id, DeliveryCheckpoint(2), relay_id="r1", connection_id="c1"
            )
        await overtake(harness, author)
        await stopped(reader)
        assert reader.events == had


async def test_follower_of_a_log_that_ends_without_its_events_is_stopped(
    make_follower: MakeFollower,
) -> None:
    async with make_follower(restore_s=LONG_S) as harness:
        author, reader = await fail_over(harness)
        author.written = author.written[:2]
        await author.append(status=Status.FAILED)
        await stopped(reader)


async def test_follower_of_a_log_that_is_lost_in_a_failover_does_not_wait_for_long(
    make_follower: MakeFollower,
) -> None:
    async with make_follower(look_s=LONG_S) as harness:
        before = harness.snapshot()
        author = await harness.open()
        reader = harness.reader(author)
        await reader.has_all()
        harness.rewind(before)
        await harness.disconnect()
        await stopped(reader)


@pytest.mark.parametrize("overtaken", [False, True])
async def test_follower_may_begin_ahead_of_a_log_that_has_lost_events(
    make_follower: MakeFollower, *, overtaken: bool
) -> None:
    async with make_follower(restore_s=LONG_S) as harness:
        author, first = await fail_over(harness)
        await first.cancel()
        reader = harness.reader(author, after=3)
        await asyncio.sleep(0.05)
        assert not reader.task.done()
        if overtaken:
            await overtake(harness, author)
            await stopped(reader)
            assert reader.events == []
        else:
            author.written = author.written[:2]
            await author.append(2)
            await author.complete()
            await reader.ends()


async def test_follower_that_begins_during_a_failover_confirms_its_position(
    make_follower: MakeFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_follower() as harness:
        author = await harness.open()
        before = harness.snapshot()
        await author.append(2)
        describe = harness.log.describe

        async def fail_over_behind(response_id: str, **options: bool) -> ResponseMeta | None:
            meta = await describe(response_id, **options)
            monkeypatch.setattr(harness.log, "describe", describe)
            harness.rewind(before)
            await overtake(harness, author)
            return meta

        monkeypatch.setattr(harness.log, "describe", fail_over_behind)
        reader = harness.reader(author, after=3)
        await stopped(reader)
        assert reader.events == []
