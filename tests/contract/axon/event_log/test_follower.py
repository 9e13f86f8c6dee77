"""Any number of followers get a response's events: all, once and in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.follower import PublicationListener
from axon.event_log.log import Status
from axon.event_log.openings import Resumption
from axon.event_log.publication import Publication
from axon.exceptions import LostEventsError, MissingResponseError
from tests.contract.axon.event_log.follower_harness import (
    RESTORE_S,
    TENANT,
    FollowerHarness,
    MakeFollower,
)
from tests.support.eventually import eventually

LONG_S = 60.0


class NotingListener(PublicationListener):
    """Notes the publications that it receives."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []

    def publish(self, publication: Publication) -> None:
        self.publications.append(publication)

    def request_read(self) -> None:
        pass


@pytest.fixture
async def harness(make_follower: MakeFollower) -> AsyncIterator[FollowerHarness]:
    async with make_follower() as made:
        yield made


@pytest.fixture
async def without_looks(make_follower: MakeFollower) -> AsyncIterator[FollowerHarness]:
    """A harness whose followers do not look into the log by themselves within the test."""
    async with make_follower(look_s=LONG_S) as made:
        yield made


async def test_follower_gets_events_as_they_are_published(without_looks: FollowerHarness) -> None:
    author = await without_looks.open()
    reader = without_looks.reader(author)
    await reader.has_all()
    for count in (1, 3, 1):
        await author.append(count)
        await reader.has_all()
    await author.complete()
    await reader.ends()


async def test_follower_of_an_ended_response_gets_it_whole(harness: FollowerHarness) -> None:
    author = await harness.open()
    await author.append(600)  # more than one read, and more than the cache holds
    await author.complete()
    assert await harness.read(author) == author.written


@pytest.mark.parametrize("ended", [False, True])
async def test_followers_begin_after_any_event(harness: FollowerHarness, ended: bool) -> None:
    author = await harness.open()
    await author.append(3)
    if ended:
        await author.complete()
    readers = [harness.reader(author, after=n) for n in range(-1, len(author.written))]
    for reader in readers:
        await reader.has_all()
    if not ended:
        await author.append(2)
        await author.complete()
    for reader in readers:
        await reader.ends()


async def test_followers_join_while_the_response_grows(harness: FollowerHarness) -> None:
    author = await harness.open()
    readers = []
    for _ in range(20):
        readers.append(harness.reader(author, after=random.randrange(-1, len(author.written))))
        await author.append()
        await asyncio.sleep(0)
    await author.complete()
    for reader in readers:
        await reader.ends()
    await harness.nobody_follows()


async def test_followers_of_many_responses_share_the_subscription(
    without_looks: FollowerHarness,
) -> None:
    authors = [await without_looks.open(f"resp_{number}") for number in range(8)]
    readers = [without_looks.reader(author) for author in authors for _ in range(2)]
    for author in authors:
        await author.append(2)
    for reader in readers:
        await reader.has_all()
    await eventually(lambda: without_looks.subscribed() == len(authors))
    for author in authors:
        await author.complete()
    for reader in readers:
        await reader.ends()
    await without_looks.nobody_follows()


async def test_follower_reads_what_was_published_to_nobody(harness: FollowerHarness) -> None:
    author = await harness.open()
    reader = harness.reader(author)
    await reader.has_all()
    harness.channels.loses = lambda: True
    await author.append(3)
    await reader.has_all()
    await author.complete()
    await reader.ends()


async def test_follower_fills_a_gap_between_publications(without_looks: FollowerHarness) -> None:
    author = await without_looks.open()
    reader = without_looks.reader(author)
    await eventually(lambda: without_looks.subscribed() == 1)
    await reader.has_all()
    without_looks.channels.loses = lambda: True
    await author.append(3)
    await author.append(2)
    await asyncio.sleep(0.05)
    without_looks.channels.loses = lambda: False
    await author.append()
    await reader.has_all()
    await author.complete()
    await reader.ends()


async def test_follower_reads_again_after_a_reconnect(without_looks: FollowerHarness) -> None:
    author = await without_looks.open()
    readers = [without_looks.reader(author, after=n) for n in (-1, 0, 1)]
    await eventually(lambda: without_looks.subscribed() == 1)
    for _ in range(3):
        await without_looks.disconnect()
        await author.append(2)  # published while nobody is subscribed
        for reader in readers:
            await reader.has_all()
    await without_looks.disconnect()
    await author.complete()
    for reader in readers:
        await reader.ends()


async def test_follower_that_is_slow_gets_everything(harness: FollowerHarness) -> None:
    author = await harness.open()
    slow, fast = harness.reader(author, pause_s=0.001), harness.reader(author)
    for _ in range(30):  # far more than the cache of 1,000 bytes holds
        await author.append(5)
    await author.complete()
    await fast.ends()
    await slow.ends()


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
async def test_follower_ends_with_the_terminal_event(
    harness: FollowerHarness, status: Status
) -> None:
    author = await harness.open()
    running = harness.reader(author)
    await running.has_all()
    await author.append(2, status=status)
    await running.ends()
    assert await harness.read(author, after=len(author.written) - 1) == []
    await harness.nobody_follows()


async def test_follower_ends_when_the_terminal_publication_is_lost(
    harness: FollowerHarness,
) -> None:
    author = await harness.open()
    reader = harness.reader(author)
    await reader.has_all()
    harness.channels.loses = lambda: True
    await author.complete()
    await reader.ends()


@pytest.mark.parametrize(("response_id", "tenant_id"), [("resp_2", TENANT), ("resp_1", "other")])
async def test_follower_refuses_what_the_tenant_does_not_have(
    harness: FollowerHarness, response_id: str, tenant_id: str
) -> None:
    await harness.open()
    with pytest.raises(MissingResponseError):
        await anext(harness.follower.follow(response_id, tenant_id=tenant_id))
    assert harness.subscribed() == 0


async def test_follower_refuses_an_event_that_the_log_does_not_have(
    harness: FollowerHarness,
) -> None:
    author = await harness.open()
    with pytest.raises(LostEventsError, match="has no event 2"):
        await harness.read(author, after=2)


async def test_follower_of_expired_events_is_told(make_follower: MakeFollower) -> None:
    async with make_follower(retention_s=1) as harness:
        author = await harness.open()
        await author.complete()
        await asyncio.sleep(1.1)
        with pytest.raises(LostEventsError):
            await harness.read(author)


async def test_follower_of_a_lost_log_is_told(harness: FollowerHarness) -> None:
    author = await harness.open()
    readers = [harness.reader(author), harness.reader(author, after=0)]
    for reader in readers:
        await reader.has_all()
    await harness.lose()
    for reader in readers:
        async with asyncio.timeout(20):
            with pytest.raises(LostEventsError):
                await reader.task
    await harness.nobody_follows()


async def test_follower_goes_on_when_a_lost_log_is_restored(harness: FollowerHarness) -> None:
    author = await harness.open()
    await author.append(2)
    reader = harness.reader(author)
    await reader.has_all()
    await harness.lose()
    await asyncio.sleep(RESTORE_S / 3)
    await harness.prepare()
    await author.restore()
    await author.append()
    await reader.has_all()
    await author.complete()
    await reader.ends()


async def test_follower_of_a_log_that_begins_again_is_told(harness: FollowerHarness) -> None:
    author = await harness.open()
    await author.append(2)
    reader = harness.reader(author)
    await reader.has_all()
    await harness.lose()
    await harness.prepare()
    await author.restore(count=2)
    async with asyncio.timeout(20):
        with pytest.raises(LostEventsError):
            await reader.task


async def test_follower_that_is_cancelled_frees_its_channel(harness: FollowerHarness) -> None:
    author = await harness.open()
    staying, leaving = harness.reader(author), harness.reader(author)
    await staying.has_all()
    await leaving.has_all()
    await leaving.cancel()
    await author.append()
    await staying.has_all()
    assert harness.subscribed() == 1
    await staying.cancel()
    await harness.nobody_follows()


async def test_follower_that_is_closed_early_frees_its_channel(harness: FollowerHarness) -> None:
    author = await harness.open()
    async with aclosing(harness.follower.follow(author.response_id, tenant_id=TENANT)) as following:
        async for event in following:
            assert event.data == author.written[0]
            break
    await harness.nobody_follows()


async def test_followers_that_come_and_go_miss_nothing(without_looks: FollowerHarness) -> None:
    author = await without_looks.open()
    for _ in range(30):
        last = len(author.written) - 1
        reader = without_looks.reader(author, after=last)
        await asyncio.sleep(0)
        await author.append()
        await reader.has_all()
        await reader.cancel()
    await author.complete()
    assert await without_looks.read(author) == author.written


async def test_follower_is_not_disturbed_by_a_takeover(without_looks: FollowerHarness) -> None:
    author = await without_looks.open()
    reader = without_looks.reader(author)
    await reader.has_all()
    relays = without_looks.relays
    await relays.heartbeat("r2", lease_s=600)
    await relays.end_lease("r1")
    taken_over = await relays.take_over("r1", successor_id="r2")
    assert [each.response_id for each in taken_over] == [author.response_id]
    await author.append(2)
    await reader.has_all()
    await without_looks.log.checkpoint(
        author.response_id,
        DeliveryCheckpoint(len(author.written)),
        relay_id="r2",
        connection_id="c1",
    )
    await author.complete()
    await reader.ends()


async def test_follower_is_not_disturbed_by_a_resumption(without_looks: FollowerHarness) -> None:
    author = await without_looks.open()
    reader = without_looks.reader(author)
    await reader.has_all()
    for connection_id, first in (("c2", 0), ("c1", 1), ("c2", 2)):
        resumed = await without_looks.log.resume(
            author.response_id, tenant_id=TENANT, connection_id=connection_id, first=first
        )
        assert resumed is Resumption.RESUMED
        await author.append()
        await reader.has_all()
    await author.complete()
    await reader.ends()


async def test_follower_sees_no_grant_to_a_disconnected_relay(harness: FollowerHarness) -> None:
    author = await harness.open()
    listener = NotingListener()
    with harness.channels.listen(author.response_id, listener):
        await eventually(lambda: harness.subscribed() == 1)
        arrived = DeliveryCheckpoint(len(author.written))
        await harness.log.checkpoint(author.response_id, arrived, relay_id="r1", connection_id="c1")
        await author.append()
        await eventually(lambda: len(listener.publications) == 1)
    meta = await harness.log.describe(author.response_id)
    assert meta is not None
    assert meta.checkpoint == arrived
    assert not listener.publications[0].granted


@pytest.mark.parametrize("seed", range(6))
async def test_followers_get_everything_whatever_is_lost(
    harness: FollowerHarness, seed: int
) -> None:
    """Random appends, losses, reconnects and followers that leave and come back."""
    chance = random.Random(seed)
    harness.channels.loses = lambda: chance.random() < 0.3
    author = await harness.open()
    readers = [harness.reader(author, after=chance.randint(-1, 1)) for _ in range(4)]
    for _ in range(25):
        await author.append(chance.randint(1, 4))
        await asyncio.sleep(chance.choice([0, 0, 0.003]))
        if chance.random() < 0.1:
            await harness.disconnect()
        if chance.random() < 0.3:
            index = chance.randrange(len(readers))
            await readers[index].cancel()
            got = readers[index].events
            first = readers[index].first
            assert got == author.written[first : first + len(got)]
            readers[index] = harness.reader(author, after=first + len(got) - 1)
    await author.complete()
    for reader in readers:
        await reader.ends()
    await harness.nobody_follows()
