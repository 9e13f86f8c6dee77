"""Responses go to another connection, or Valkey loses them: two relays on a real one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.exceptions import UnavailableError
from tests.integration.relay.relay_harness import CONNECTIONS, Stage, write
from tests.support.eventually import eventually
from tests.unit.relay.log_author import Author

FIRST, SECOND, THIRD = CONNECTIONS[:3]
OTHER = "relay-other"


@pytest.fixture
async def two_relays(stage: Stage) -> AsyncIterator[None]:
    """The first one serves the connections FIRST and THIRD, the other one SECOND."""
    async with stage.relay(relay_lease_s="60"):  # neither may adopt the other's, however busy
        for connection_id in (FIRST, THIRD):
            await write(await stage.open(connection_id), 0)
        await stage.all_delivered()
        async with stage.relay(relay_id=OTHER, relay_lease_s="60"):
            busy = [await stage.open(FIRST), await stage.open(THIRD)]
            await write(await stage.open(SECOND), 0)
            for author in busy:
                await author.complete()
            await stage.all_delivered()
            await stage.all_delivered(OTHER)
            stage.gateway.posts.clear()
            yield
            assert not stage.gateway.deleted


async def test_on_another_connection(stage: Stage, two_relays: None) -> None:
    """Of the same relay, of another one, and back again."""
    author = await stage.open(FIRST)
    await author.say("one", "two")
    await stage.settled(author)
    begun = list(author.written)
    for connection_id, first in ((THIRD, 1), (SECOND, 0), (FIRST, 2), (SECOND, 3)):
        stage.gateway.posts.clear()
        await author.resume(connection_id, first=first)
        await author.say("more")
        await stage.settled(author)
        assert dict(stage.gateway.posts) == {connection_id: author.written[first:]}
    assert len(begun) < len(author.written)
    await write(author, 3)
    await stage.all_delivered(OTHER)
    assert stage.gateway.posts[SECOND] == author.written[3:]


async def test_on_the_same_connection(stage: Stage, two_relays: None) -> None:
    author = await stage.open(FIRST)
    await author.say("one", "two")
    await stage.settled(author)
    stage.gateway.posts.clear()
    await author.resume(FIRST, first=1)
    await write(author, 3)
    await stage.all_delivered()
    assert stage.gateway.posts[FIRST] == author.written[1:]


@pytest.mark.parametrize("to", [SECOND, THIRD])
async def test_while_posts_are_under_way(stage: Stage, two_relays: None, to: str) -> None:
    author = await stage.open(FIRST)
    stage.gateway.delay_s = 0.01
    writing = asyncio.create_task(write(author, 60, pause_s=0.005))
    await eventually(lambda: len(stage.gateway.posts[FIRST]) > 10)
    first = len(stage.gateway.posts[FIRST])
    await author.resume(to, first=first)
    await writing
    await stage.all_delivered()
    await stage.all_delivered(OTHER)
    assert stage.gateway.posts[to] == author.written[first:]
    # One was under way.
    assert stage.gateway.posts[FIRST] in (author.written[:first], author.written[: first + 1])


async def test_what_has_ended(stage: Stage, two_relays: None) -> None:
    author = await stage.open(FIRST)
    await write(author, 3)
    await stage.all_delivered()
    for connection_id, relay_id in ((FIRST, "relay-a"), (SECOND, OTHER), (THIRD, "relay-a")):
        stage.gateway.posts.clear()
        await author.resume(connection_id, first=2)
        await stage.all_delivered(relay_id)
        assert dict(stage.gateway.posts) == {connection_id: author.written[2:]}


async def test_publications_of_it_that_nobody_heard(stage: Stage, two_relays: None) -> None:
    author = await stage.open(FIRST)
    await author.say("one", "two")
    await stage.settled(author)
    had = list(author.written)
    author._log = stage.silent_log
    await author.resume(SECOND, first=1)
    author._log = stage.log
    await write(author, 3)
    await stage.all_delivered(OTHER)
    assert stage.gateway.posts[SECOND] == author.written[1:]
    assert stage.gateway.posts[FIRST] == had


async def test_a_connection_that_was_gone(stage: Stage, two_relays: None) -> None:
    author = await stage.open(FIRST)
    await author.say("one")
    await stage.settled(author)
    stage.gateway.gone.add(FIRST)
    await author.say("two", "three")
    await stage.all_delivered()
    got = len(stage.gateway.posts[FIRST])
    await author.resume(SECOND, first=got)
    await write(author, 3)
    await stage.all_delivered(OTHER)
    assert stage.gateway.posts[FIRST] + stage.gateway.posts[SECOND] == author.written


async def test_a_flushed_valkey_ends_in_disconnects_and_the_relay_serves_on(stage: Stage) -> None:
    async with stage.relay():
        author = await stage.open(FIRST)
        await stage.settled(author)
        await stage.valkey.call("FLUSHALL")
        await eventually(lambda: stage.gateway.deleted == [FIRST])
        assert stage.interrupted(FIRST) == author.written
        await stage.registered()
        await stage.begin()
        later = await stage.open(SECOND)
        await write(later, 3)
        await stage.all_delivered()
    stage.check(later)


async def test_after_a_flush_what_a_worker_restores_goes_on(stage: Stage) -> None:
    async with stage.relay():
        authors = [await stage.open(connection_id) for connection_id in CONNECTIONS]
        await asyncio.gather(*(author.say("one", "two") for author in authors))
        await stage.settled(*authors)
        await stage.valkey.call("FLUSHALL")
        await asyncio.gather(*(_restored(author) for author in authors))
        await asyncio.gather(*(write(author, 3) for author in authors))
        await stage.all_delivered()
    stage.check(*authors)
    assert not stage.gateway.deleted


async def test_a_flush_between_an_append_and_its_post(stage: Stage) -> None:
    """The relay has the event, and waits with its post until the log is there again."""
    stage.gateway.delay_s = 0.05
    async with stage.relay():
        author = await stage.open(FIRST)
        await author.say("one", "two", "three")
        await stage.valkey.call("FLUSHALL")
        await _restored(author)
        await write(author, 3)
        await stage.all_delivered()
    stage.check(author)
    assert not stage.gateway.deleted


async def test_a_restored_response_that_its_relay_does_not_know_can_be_resumed(
    stage: Stage,
) -> None:
    async with stage.relay(stop_timeout_s="0.1"):
        author = await stage.open(FIRST)
        await author.say("one", "two")
        await stage.settled(author)
    await stage.valkey.call("FLUSHALL")
    async with stage.relay(relay_id=OTHER):
        await _restored(author)
        await author.say("three")
        await eventually(lambda: stage.gateway.deleted == [FIRST])
        got = stage.interrupted(FIRST)
        await author.resume(SECOND, first=len(got))
        await write(author, 3)
        await stage.all_delivered(OTHER)
    assert got + stage.gateway.posts[SECOND] == author.written


async def _restored(author: Author) -> None:
    """As a worker does: again and again, until a relay has registered."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await author.restore()
            except UnavailableError:
                await asyncio.sleep(0.05)
