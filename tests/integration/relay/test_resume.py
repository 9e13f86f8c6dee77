"""Responses go to another connection, or Valkey loses them: two relays on a real one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.exceptions import UnavailableError
from axon.serialization import loads
from tests.integration.relay.relay_harness import CONNECTIONS, RelayHarness, write
from tests.support.eventually import eventually
from tests.unit.relay.log_author_stub import Author

FIRST, SECOND, THIRD = CONNECTIONS[:3]
OTHER = "relay-other"


@pytest.fixture
async def two_relays(harness: RelayHarness) -> AsyncIterator[None]:
    """The first one serves the connections FIRST and THIRD, the other one SECOND."""
    async with harness.relay(relay_lease_s="60"):  # neither may take over, however busy
        for connection_id in (FIRST, THIRD):
            await write(await harness.open(connection_id), 0)
        await harness.all_delivered()
        async with harness.relay(relay_id=OTHER, relay_lease_s="60"):
            busy = [await harness.open(FIRST), await harness.open(THIRD)]
            await write(await harness.open(SECOND), 0)
            for author in busy:
                await author.complete()
            await harness.all_delivered()
            await harness.all_delivered(OTHER)
            harness.gateway.posts.clear()
            yield
            assert not harness.gateway.deleted


def take_notices(harness: RelayHarness, connection_id: str) -> list[str]:
    """Take the events that say that a response has moved; return the ids of these responses."""
    events = [(post, loads(post)) for post in harness.gateway.posts.pop(connection_id, [])]
    others = [post for post, event in events if event.get("code") != "response_moved"]
    if others:
        harness.gateway.posts[connection_id] = others
    return [event["response_id"] for _, event in events if event.get("code") == "response_moved"]


async def notices(harness: RelayHarness, connection_id: str) -> list[str]:
    """Wait for the first of them, and take them."""
    posts = harness.gateway.posts[connection_id]
    await eventually(lambda: any(b"response_moved" in post for post in posts))
    return take_notices(harness, connection_id)


async def test_resume_on_another_connection(harness: RelayHarness, two_relays: None) -> None:
    """On a connection of the same relay, of another one, and back again."""
    author = await harness.open(FIRST)
    await author.say("one", "two")
    await harness.completed(author)
    begun, former = list(author.written), FIRST
    for connection_id, first in ((THIRD, 1), (SECOND, 0), (FIRST, 2), (SECOND, 3)):
        harness.gateway.posts.clear()
        await author.resume(connection_id, first=first)
        await author.say("more")
        await harness.completed(author)
        assert await notices(harness, former) == [author.response_id]
        assert dict(harness.gateway.posts) == {connection_id: author.written[first:]}
        former = connection_id
    assert len(begun) < len(author.written)
    await write(author, 3)
    await harness.all_delivered(OTHER)
    assert harness.gateway.posts[SECOND] == author.written[3:]


async def test_resume_on_the_same_connection(harness: RelayHarness, two_relays: None) -> None:
    author = await harness.open(FIRST)
    await author.say("one", "two")
    await harness.completed(author)
    harness.gateway.posts.clear()
    await author.resume(FIRST, first=1)
    await write(author, 3)
    await harness.all_delivered()
    assert harness.gateway.posts[FIRST] == author.written[1:]


@pytest.mark.parametrize("to", [SECOND, THIRD])
async def test_resume_works_while_posts_are_under_way(
    harness: RelayHarness, two_relays: None, to: str
) -> None:
    author = await harness.open(FIRST)
    harness.gateway.delay_s = 0.01
    writing = asyncio.create_task(write(author, 60, pause_s=0.005))
    await eventually(lambda: len(harness.gateway.posts[FIRST]) > 10)
    first = len(harness.gateway.posts[FIRST])
    await author.resume(to, first=first)
    posted = len(harness.gateway.posts[FIRST])
    await writing
    await harness.all_delivered()
    await harness.all_delivered(OTHER)
    assert harness.gateway.posts[to] == author.written[first:]
    # One was under way when the resumption took effect.
    assert await notices(harness, FIRST) == [author.response_id]
    assert harness.gateway.posts[FIRST] in (author.written[:posted], author.written[: posted + 1])


async def test_resume_delivers_the_rest_of_an_ended_response(
    harness: RelayHarness, two_relays: None
) -> None:
    author = await harness.open(FIRST)
    await write(author, 3)
    await harness.all_delivered()
    for connection_id, relay_id in ((FIRST, "relay-a"), (SECOND, OTHER), (THIRD, "relay-a")):
        harness.gateway.posts.clear()
        await author.resume(connection_id, first=2)
        await harness.all_delivered(relay_id)
        assert dict(harness.gateway.posts) == {connection_id: author.written[2:]}


async def test_resume_works_when_its_publications_are_lost(
    harness: RelayHarness, two_relays: None
) -> None:
    author = await harness.open(FIRST)
    await author.say("one", "two")
    await harness.completed(author)
    had = list(author.written)
    author._log = harness.silent_log
    await author.resume(SECOND, first=1)
    author._log = harness.log
    await write(author, 3)
    await harness.all_delivered(OTHER)
    assert harness.gateway.posts[SECOND] == author.written[1:]
    assert len(take_notices(harness, FIRST)) <= 1, "its relay learns of it from the log, or later"
    assert harness.gateway.posts[FIRST] == had


async def test_resume_continues_for_a_connection_that_was_gone(
    harness: RelayHarness, two_relays: None
) -> None:
    author = await harness.open(FIRST)
    await author.say("one")
    await harness.completed(author)
    harness.gateway.gone.add(FIRST)
    await author.say("two", "three")
    await harness.all_delivered()
    got = len(harness.gateway.posts[FIRST])
    await author.resume(SECOND, first=got)
    await write(author, 3)
    await harness.all_delivered(OTHER)
    assert harness.gateway.posts[FIRST] + harness.gateway.posts[SECOND] == author.written


async def test_resume_is_left_to_clients_after_a_flush_and_the_relay_serves_on(
    harness: RelayHarness,
) -> None:
    async with harness.relay():
        author = await harness.open(FIRST)
        await harness.completed(author)
        await harness.valkey.call("FLUSHALL")
        await eventually(lambda: harness.gateway.deleted == [FIRST])
        assert harness.interrupted(FIRST) == author.written
        await harness.registered()
        await harness.begin()
        later = await harness.open(SECOND)
        await write(later, 3)
        await harness.all_delivered()
    harness.check(later)


async def test_resume_is_not_needed_after_a_flush_when_workers_restore(
    harness: RelayHarness,
) -> None:
    async with harness.relay():
        authors = [await harness.open(connection_id) for connection_id in CONNECTIONS]
        await asyncio.gather(*(author.say("one", "two") for author in authors))
        await harness.completed(*authors)
        await harness.valkey.call("FLUSHALL")
        await asyncio.gather(*(_restored(author) for author in authors))
        await asyncio.gather(*(write(author, 3) for author in authors))
        await harness.all_delivered()
    harness.check(*authors)
    assert not harness.gateway.deleted


async def test_resume_is_not_needed_after_a_flush_between_append_and_post(
    harness: RelayHarness,
) -> None:
    """The relay has the event, and waits with its post until the log is there again."""
    harness.gateway.delay_s = 0.05
    async with harness.relay():
        author = await harness.open(FIRST)
        await author.say("one", "two", "three")
        await harness.valkey.call("FLUSHALL")
        await _restored(author)
        await write(author, 3)
        await harness.all_delivered()
    harness.check(author)
    assert not harness.gateway.deleted


async def test_resume_works_for_a_restored_response_unknown_to_its_relay(
    harness: RelayHarness,
) -> None:
    async with harness.relay(stop_timeout_s="0.1"):
        author = await harness.open(FIRST)
        await author.say("one", "two")
        await harness.completed(author)
    await harness.valkey.call("FLUSHALL")
    async with harness.relay(relay_id=OTHER):
        await _restored(author)
        await author.say("three")
        await eventually(lambda: harness.gateway.deleted == [FIRST])
        got = harness.interrupted(FIRST)
        await author.resume(SECOND, first=len(got))
        await write(author, 3)
        await harness.all_delivered(OTHER)
    assert got + harness.gateway.posts[SECOND] == author.written


async def _restored(author: Author) -> None:
    """As a worker does: again and again, until a relay has registered."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await author.restore()
            except UnavailableError:
                await asyncio.sleep(0.05)
