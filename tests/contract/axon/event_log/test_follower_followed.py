"""Followers of responses that no connection waits for."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from axon.event_log.openings import Resumption
from axon.exceptions import LostEventsError
from tests.contract.axon.event_log.follower_harness import TENANT, FollowerHarness, MakeFollower
from tests.support.eventually import eventually

LONG_S = 60.0


async def test_follower_gets_a_followed_response_to_its_end(make_follower: MakeFollower) -> None:
    """By its publications alone: the log is not looked at in between."""
    async with make_follower(look_s=LONG_S, cache_bytes=100_000) as harness:
        author = await harness.open(connection_id="")
        reader, late = harness.reader(author), harness.reader(author, after=0)
        await reader.has_all()
        for _ in range(3):
            await author.append(5)
            await reader.has_all()
        await author.complete()
        await reader.ends()
        await late.ends()


@pytest.mark.parametrize("lost", [False, True], ids=["published", "lost"])
async def test_follower_of_an_expected_response_reads_only_what_was_not_published(
    make_follower: MakeFollower, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    async with make_follower(look_s=LONG_S, cache_bytes=100_000) as harness:
        reads: list[str] = []
        for name in ("read", "describe"):
            monkeypatch.setattr(harness.log, name, noted(getattr(harness.log, name), reads))
        with harness.follower.expect("resp_1") as expected:
            await eventually(lambda: harness.subscribed() == 1)
            harness.channels.loses = lambda: lost
            author = await harness.open(connection_id="")
            await author.append(5)
            harness.channels.loses = lambda: False
            assert reads == []
            events = expected()
            got = [(await anext(events)).data for _ in author.written]
            await author.complete()
            got += [event.data async for event in events]
        assert got == author.written
        assert bool(reads) is lost
        await harness.nobody_follows()


def noted(call: Callable[..., Awaitable[Any]], calls: list[str]) -> Callable[..., Awaitable[Any]]:
    """Return a call that notes the response that it is about."""

    async def note(response_id: str, **options: Any) -> Any:
        calls.append(response_id)
        return await call(response_id, **options)

    return note


async def cut_and_continued(harness: FollowerHarness, *, connection_id: str) -> None:
    """Write events 0 and 1, lose two more, and have another attempt write others."""
    author = await harness.open(connection_id=connection_id)
    before = harness.snapshot()
    await author.append(2)
    harness.rewind(before)
    author.epoch = (await harness.log.claim(author.response_id)).epoch
    author.written = author.written[:2]
    await author.append(5)
    await author.complete()
    assert await harness.read(author, after=1) == author.written[2:]
    if not connection_id:  # it is delivered from now on: what its readers have is as uncertain
        resumed = await harness.log.resume(
            author.response_id, tenant_id=TENANT, connection_id="c1", first=0
        )
        assert resumed is Resumption.RESUMED
    for after in (2, 3, 6):
        with pytest.raises(LostEventsError):
            await harness.read(author, after=after)
    assert await harness.read(author) == author.written


@pytest.mark.parametrize("connection_id", ["", "c1"])
async def test_follower_does_not_begin_behind_a_fork(
    make_follower: MakeFollower, connection_id: str
) -> None:
    """Also of a delivered response: a relay confirms what its own client has."""
    async with make_follower() as harness:
        await cut_and_continued(harness, connection_id=connection_id)
