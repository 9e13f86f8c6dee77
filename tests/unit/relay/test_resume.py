"""A client has a response delivered to another connection: two relays over one fake."""

import asyncio

import pytest

from axon.management_api import PostUncertainError
from axon.serialization import loads
from relay.reconciler import LOST_AFTER
from tests.support.eventually import eventually
from tests.unit.relay.log_author_stub import Author
from tests.unit.relay.relay_harness import RELAY, RelayHarness, RelayParts, begun


@pytest.fixture
async def other(harness: RelayHarness) -> RelayParts:
    """A second relay: it serves connection "c2", the first one "c1"."""
    other = await harness.join("relay-b")
    busy = [await harness.open(connection_id) for connection_id in ("c1", "c2")]
    for author in busy:
        await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    await other.dispatcher.drain()
    harness.connections.posts.clear()
    return other


async def resume_and_lose(harness: RelayHarness, author: Author) -> tuple[str, bytes]:
    """Resume on connection c2; return the publication of that, which the relay has not received."""
    await author.resume("c2", first=1)
    resumption = harness.valkey.published[-1]
    harness.lose()
    return resumption


def received_before_the_move(
    harness: RelayHarness, author: Author, connection_id: str
) -> list[bytes]:
    """Return what a connection got before the one event that says that its response has moved."""
    *events, notice = harness.connections.posts[connection_id]
    told = loads(notice)
    assert (told["type"], told["code"]) == ("error", "response_moved")
    assert told["response_id"] == author.response_id
    assert author.response_id in told["message"]
    return events


async def finish(harness: RelayHarness, author: Author, *, on: str, first: int) -> None:
    await author.say("and", "more")
    harness.pump()
    await author.complete()
    harness.pump()
    await harness.received(author, on=on, first=first)
    assert not harness.connections.deleted


@pytest.mark.parametrize("first", [0, 1, 3, 4])
async def test_resume_on_another_connection_of_the_same_relay(
    harness: RelayHarness, first: int
) -> None:
    author = await begun(harness, "c1", "a", "b")
    had = list(author.written)
    await author.resume("c2", first=first)
    harness.pump()
    await finish(harness, author, on="c2", first=first)
    await harness.dispatcher.drain()
    assert received_before_the_move(harness, author, "c1") == had
    assert not harness.dispatcher.deliveries
    assert await harness.valkey.undelivered(RELAY) == set()


@pytest.mark.parametrize("first", [0, 1, 3, 4])
async def test_resume_on_another_relay(
    harness: RelayHarness, other: RelayParts, first: int
) -> None:
    author = await begun(harness, "c1", "a", "b")
    had = list(author.written)
    await author.resume("c2", first=first)
    harness.pump()
    assert (await harness.describe(author)).relay_id == "relay-b"
    assert not harness.dispatcher.deliveries
    await finish(harness, author, on="c2", first=first)
    assert received_before_the_move(harness, author, "c1") == had


async def test_resume_on_the_same_connection_begins_again(harness: RelayHarness) -> None:
    author = await begun(harness, "c1", "a", "b")
    harness.connections.posts["c1"].clear()
    await author.resume("c1", first=1)
    harness.pump()
    await finish(harness, author, on="c1", first=1)


@pytest.mark.parametrize("on", ["c1", "c2"])
async def test_resume_works_while_a_post_is_under_way(
    harness: RelayHarness, other: RelayParts, on: str
) -> None:
    author = await begun(harness, "c1", "a")
    harness.connections.hold()
    await author.say("b", "c")
    under_way = author.written[-2]
    attempts = harness.connections.attempts
    harness.pump()
    await eventually(lambda: harness.connections.attempts == attempts + 1)
    had = list(harness.connections.posts["c1"])
    first = len(author.written) - 2
    await author.resume(on, first=first)
    harness.pump()
    harness.connections.release()
    await eventually(lambda: len(harness.connections.posts["c1"]) > len(had))
    assert harness.connections.posts["c1"][len(had)] == under_way
    if on == "c1":
        del harness.connections.posts["c1"][: len(had) + 1]
    await finish(harness, author, on=on, first=first)


async def test_resume_delivers_the_rest_of_an_ended_response(harness: RelayHarness) -> None:
    author = await begun(harness, "c1", "a")
    await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    for connection_id in ("c2", "c1"):
        harness.connections.posts["c1"].clear()
        await author.resume(connection_id, first=2)
        harness.pump()
        await harness.dispatcher.drain()
        await harness.received(author, on=connection_id, first=2)
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_resume_of_a_response_delivered_to_its_end_posts_nothing(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a")
    await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    attempts = harness.connections.attempts
    harness.dispatcher.deliver_from(author.response_id, "c1", first=len(author.written))
    await harness.dispatcher.drain()
    assert harness.connections.attempts == attempts
    assert not harness.connections.deleted
    assert not harness.dispatcher.deliveries


async def test_resume_works_there_and_back(harness: RelayHarness, other: RelayParts) -> None:
    author = await begun(harness, "c1", "a", "b")
    posts = harness.connections.posts
    await author.resume("c2", first=2)
    harness.pump()
    await harness.received(author, on="c2", first=2)
    await author.say("c")
    harness.pump()
    await harness.received(author, on="c2", first=2)
    had = list(posts["c2"])
    posts["c1"].clear()
    await author.resume("c1", first=3)
    harness.pump()
    await finish(harness, author, on="c1", first=3)
    assert received_before_the_move(harness, author, "c2") == had


async def test_resume_works_when_its_publications_are_lost(
    harness: RelayHarness, other: RelayParts
) -> None:
    """Nor the new one: the log says to each where it stands."""
    author = await begun(harness, "c1", "a")
    had = list(author.written)
    await author.resume("c2", first=1)
    harness.lose()
    for relay in harness.relays.values():
        relay.dispatcher.request_read_all()
    await finish(harness, author, on="c2", first=1)
    assert received_before_the_move(harness, author, "c1") == had


async def test_resume_changes_nothing_when_its_publication_is_late(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a")
    resumption = await resume_and_lose(harness, author)
    await author.say("b")
    harness.pump()  # the relay looks into the log
    await harness.completed(author)
    harness.valkey.published.append(resumption)
    harness.pump()
    await finish(harness, author, on="c2", first=1)


async def test_resume_changes_nothing_when_its_publication_comes_after_the_end(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a")
    resumption = await resume_and_lose(harness, author)
    await finish(harness, author, on="c2", first=1)  # found in the log
    for _ in range(2):
        harness.valkey.published.append(resumption)
        harness.pump()
        await harness.dispatcher.drain()
    # The second one stands for a client that asks again on the same connection.
    assert harness.connections.posts["c2"] == 2 * author.written[1:]


async def test_resume_continues_after_an_interruption(harness: RelayHarness) -> None:
    author = await harness.open("c1")
    harness.connections.fail("c1", None, PostUncertainError("?"))
    await author.say("a")
    harness.pump()
    await eventually(lambda: harness.connections.deleted == ["c1"])
    harness.connections.deleted.clear()
    assert harness.connections.posts["c1"][:-1] == author.written[:1]
    await author.resume("c2", first=1)
    harness.pump()
    await finish(harness, author, on="c2", first=1)
    await harness.dispatcher.drain()
    assert await harness.valkey.undelivered(RELAY) == set()
    assert await harness.valkey.abandoned() == []


async def test_resume_ends_the_abandonment_by_a_gone_connection(harness: RelayHarness) -> None:
    author = await begun(harness, "c1", "a")
    harness.connections.hang_up("c1")
    await author.say("b")
    harness.pump()
    await harness.dispatcher.drain()
    await author.say("c")
    harness.pump()
    await author.resume("c2", first=3)
    harness.pump()
    harness.now += 61
    assert await harness.valkey.abandoned() == []
    await harness.relay.lease.beat()
    await finish(harness, author, on="c2", first=3)


async def test_resume_is_not_needed_after_a_worker_has_restored_the_log(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a")
    harness.valkey.lose()
    await harness.relay.reconciler.step()
    await author.restore()
    await harness.relay.reconciler.step()
    await finish(harness, author, on="c1", first=0)


async def test_resume_is_not_needed_for_a_post_that_waits_for_the_log(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a")
    harness.valkey.disconnected.add(
        RELAY
    )  # otherwise the event is granted, and the log is not asked
    await author.say("b")
    attempts = harness.connections.attempts
    harness.valkey.lose()
    harness.dispatcher.request_read_all()
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert harness.connections.attempts == attempts
    await author.restore()
    await finish(harness, author, on="c1", first=0)


async def test_resume_is_left_to_the_client_when_the_log_is_lost_for_good(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a")
    await author.say("b")
    harness.valkey.lose()
    harness.pump()
    for _ in range(LOST_AFTER):
        assert not harness.connections.deleted
        await harness.relay.reconciler.step()
    await eventually(lambda: harness.connections.deleted == ["c1"])
    assert harness.connections.posts["c1"][:-1] == author.written[:-1]


@pytest.mark.parametrize("checkpoint", ["restored first", "received first"])
async def test_resume_is_left_to_the_client_when_the_checkpoint_was_lost(
    harness: RelayHarness, checkpoint: str
) -> None:
    """Its relay has no memory of it."""
    author = await begun(harness, "c1", "a")
    had = list(author.written)
    await harness.dispatcher.cancel()
    again = harness.make_relay(RELAY)
    harness.valkey.lose()
    await author.restore()
    if checkpoint == "received first":
        await author.say("b")
        harness.pump()
    else:
        for _ in range(2):
            await again.reconciler.step()
    await eventually(lambda: harness.connections.deleted == ["c1"])
    assert harness.connections.posts["c1"][:-1] == had
    harness.connections.deleted.clear()
    await author.resume("c2", first=len(had))
    harness.pump()
    await finish(harness, author, on="c2", first=len(had))


async def test_resume_is_left_to_the_client_when_the_log_begins_again(
    harness: RelayHarness,
) -> None:
    author = await begun(harness, "c1", "a", "b")
    harness.valkey.lose()
    await author.restore_as_failed()
    harness.dispatcher.request_read_all()
    await harness.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert b"stream_interrupted" in harness.connections.posts["c1"][-1]
