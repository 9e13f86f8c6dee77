"""Takeovers of a dead relay's responses: relays over one fake, killed at each point."""

import asyncio

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.exceptions import UnavailableError
from axon.management_api import ConnectionsApiError, PostThrottledError
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.relay.log_author_stub import Author
from tests.unit.relay.relay_harness import RELAY, RelayHarness, RelayParts, begun


@pytest.fixture
async def other(harness: RelayHarness) -> RelayParts:
    return await harness.join("relay-b")


async def finish(harness: RelayHarness, author: Author, *, on: str = "", first: int = 0) -> None:
    await author.say("and", "more")
    harness.pump()
    await author.complete()
    harness.pump()
    await harness.received(author, on=on, first=first)


async def test_failover_continues_where_the_checkpoint_is_certain(
    harness: RelayHarness, other: RelayParts
) -> None:
    author = await begun(harness, "c1", "a", "b")
    await harness.kill(harness.relay)
    await author.say("nobody hears this")
    harness.lose()
    await other.failover.step()
    await finish(harness, author)
    assert not harness.connections.deleted
    assert other.taken_over == [True]
    await other.dispatcher.drain()
    assert await harness.valkey.undelivered("relay-b") == set()
    assert RELAY not in await harness.valkey.expired()


async def test_failover_closes_a_connection_with_a_post_in_doubt(
    harness: RelayHarness, other: RelayParts
) -> None:
    certain = await begun(harness, "c1", "a")
    uncertain = await begun(harness, "c1", "a")
    elsewhere = await begun(harness, "c2", "a")
    had = list(harness.connections.posts["c1"])
    harness.connections.hold()
    await uncertain.say("b")
    harness.pump()
    attempts = harness.connections.attempts
    await eventually(lambda: harness.connections.attempts == attempts + 1)
    await harness.kill(harness.relay)
    harness.connections.release()
    await other.failover.step()
    assert other.taken_over == [False]
    await certain.say("stale")
    harness.pump()
    await eventually(lambda: harness.connections.deleted == ["c1"])
    assert harness.connections.posts["c1"][:-1] == had
    assert loads(harness.connections.posts["c1"][-1])["code"] == "stream_interrupted"
    await eventually(lambda: set(other.dispatcher.deliveries) == {elsewhere.response_id})
    await harness.valkey.register("c3", principal=a_principal("tenant"))
    for author in (certain, uncertain):
        first = len(author.written) - 1
        await author.resume("c3", first=first)
        harness.pump()
        await harness.received(author, on="c3", first=first)
        harness.connections.posts["c3"].clear()
    await finish(harness, elsewhere)
    assert await harness.valkey.abandoned() == []


async def test_failover_stops_the_posts_of_a_relay_that_was_only_asleep(
    harness: RelayHarness, other: RelayParts
) -> None:
    """It sleeps while it is taken_over, and wakes with a delivery that it has not finished."""
    author = await begun(harness, "c1", "a")
    await until_taken_over(harness, other)
    await author.say("b")
    harness.lose()
    harness.dispatcher.request_read_all()
    await eventually(lambda: not harness.dispatcher.deliveries)
    await finish(harness, author)
    assert not harness.connections.deleted


async def test_failover_lets_nothing_granted_to_a_sleeping_relay_arrive(
    harness: RelayHarness, other: RelayParts
) -> None:
    """It receives the grant when it wakes up and may post at once; its connection is closed."""
    author = await begun(harness, "c1", "a")
    had = len(author.written)
    await author.say("b")
    undelivered = harness.publications()
    await until_taken_over(harness, other)
    await other.dispatcher.drain()
    assert other.taken_over == [False]
    assert harness.connections.deleted == ["c1"]
    for publication in undelivered:
        harness.dispatcher.receive(publication)
    await harness.dispatcher.drain()
    assert harness.connections.posts["c1"][:-1] == author.written[:had]
    await harness.valkey.register("c3", principal=a_principal("tenant"))
    await author.resume("c3", first=had)
    harness.pump()
    await finish(harness, author, on="c3", first=had)


async def until_taken_over(harness: RelayHarness, other: RelayParts) -> None:
    del harness.relays[RELAY]
    await harness.outlast()
    harness.relays[RELAY] = harness.relay
    await other.failover.step()


async def test_failover_takes_over_from_its_own_successor(
    harness: RelayHarness, other: RelayParts
) -> None:
    """It still holds the delivery from before it was taken over, which is behind."""
    author = await begun(harness, "c1", "a")
    harness.valkey.disconnected.add(RELAY)
    await author.say("b")
    harness.lose()
    await until_taken_over(harness, other)
    await harness.completed(author)
    assert author.response_id in harness.dispatcher.deliveries
    await harness.relay.lease.beat()
    await harness.kill(other)
    for _ in range(2):  # a relay whose lease had ended leaves the others the time to renew theirs
        await harness.outlast()
    await harness.relay.failover.step()
    await finish(harness, author)
    assert not harness.connections.deleted


async def test_failover_continues_on_a_third_relay_when_the_successor_dies(
    harness: RelayHarness, other: RelayParts
) -> None:
    author = await begun(harness, "c1", "a")
    third = await harness.join("relay-c")
    await harness.kill(harness.relay)
    taken_over = await harness.valkey.take_over(RELAY, successor_id="relay-b")
    assert [response.response_id for response in taken_over] == [author.response_id]
    await harness.kill(other)
    await third.failover.step()
    await finish(harness, author)
    assert not harness.connections.deleted


async def test_failover_is_completed_by_the_reconciler_when_its_answer_is_lost(
    harness: RelayHarness, other: RelayParts
) -> None:
    author = await begun(harness, "c1", "a")
    await harness.kill(harness.relay)
    await harness.valkey.take_over(RELAY, successor_id="relay-b")
    for _ in range(2):
        await other.reconciler.step()
    await finish(harness, author)


async def test_failover_delivers_an_event_that_overtakes_its_answer(
    harness: RelayHarness, other: RelayParts
) -> None:
    author = await begun(harness, "c1", "a")
    await harness.kill(harness.relay)
    taken_over = await harness.valkey.take_over(RELAY, successor_id="relay-b")
    await author.say("b")
    harness.pump()
    await harness.completed(author)
    other.failover.deliver(taken_over)
    await finish(harness, author)
    assert not harness.connections.deleted


async def test_failover_takes_over_all_connections_in_pieces(
    harness: RelayHarness, other: RelayParts
) -> None:
    connection_ids = [f"x{number}" for number in range(250)]
    for connection_id in connection_ids:
        await harness.valkey.register(connection_id, principal=a_principal("tenant"))
    harness.valkey.disconnected.add(RELAY)
    authors = [await harness.open(connection_id) for connection_id in connection_ids]
    mine = await harness.valkey.undelivered(RELAY)
    harness.lose()
    await harness.kill(harness.relay)
    await other.failover.step()
    assert len(other.taken_over) == len(mine) > 100
    for author in authors:
        if author.response_id in mine:
            await harness.received(author)


async def test_failover_does_not_take_over_from_itself_or_a_living_relay(
    harness: RelayHarness,
) -> None:
    author = await harness.open("c1")
    await harness.relay.failover.step()
    harness.now += 4  # its own lease has ended, too
    await harness.relay.failover.step()
    assert not harness.relay.taken_over
    assert await harness.valkey.undelivered(RELAY) == {author.response_id}


async def test_failover_waits_a_beat_when_all_leases_have_ended(
    harness: RelayHarness, other: RelayParts
) -> None:
    """Valkey was away."""
    author = await begun(harness, "c1", "a")
    harness.now += 4
    await other.failover.step()
    await other.lease.beat()
    await harness.relay.lease.beat()
    await other.failover.step()
    assert not other.taken_over
    assert await harness.valkey.undelivered(RELAY) == {author.response_id}


async def test_failover_continues_a_restarted_relays_own_deliveries(harness: RelayHarness) -> None:
    certain, uncertain = await begun(harness, "c1", "a"), await begun(harness, "c2", "a")
    checkpoint = DeliveryCheckpoint(len(uncertain.written), TailState.IN_DOUBT)
    await harness.valkey.checkpoint(
        uncertain.response_id, checkpoint, relay_id=RELAY, connection_id="c2"
    )
    await harness.relay.dispatcher.cancel()
    again = harness.make_relay(RELAY)
    await again.lease.end()
    left = await again.failover.take_over_own()
    assert len(left) == 2
    await again.lease.beat()
    again.failover.deliver(left)
    await finish(harness, certain)
    await eventually(lambda: harness.connections.deleted == ["c2"])


async def test_failover_closes_connections_despite_throttling_and_refusals(
    harness: RelayHarness, other: RelayParts
) -> None:
    for connection_id in ("c1", "c2"):
        author = await harness.open(connection_id)
        await harness.valkey.checkpoint(
            author.response_id,
            DeliveryCheckpoint(0, TailState.IN_DOUBT),
            relay_id=(await harness.describe(author)).relay_id,
            connection_id=connection_id,
        )
    throttled = PostThrottledError("429")
    harness.connections.fail("c1", throttled, throttled, None, throttled)
    harness.connections.fail("c2", None, ConnectionsApiError("400"))
    await harness.kill(harness.relay)
    await other.failover.step()
    for _ in range(2):
        await other.reconciler.step()
    await other.dispatcher.drain()
    assert harness.connections.deleted == ["c1"]
    assert await harness.valkey.undelivered("relay-b") == set()


async def test_failover_continues_after_valkey_was_away(
    harness: RelayHarness, other: RelayParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await begun(harness, "c1", "a")
    take_over = harness.valkey.take_over
    failures = [UnavailableError("away")]

    async def sometimes(relay_id: str, *, successor_id: str, limit: int = 100) -> object:
        if failures:
            raise failures.pop()
        return await take_over(relay_id, successor_id=successor_id, limit=limit)

    await harness.kill(harness.relay)
    monkeypatch.setattr(harness.valkey, "take_over", sometimes)
    with pytest.raises(UnavailableError):
        await other.failover.step()
    await other.failover.step()
    await finish(harness, author)


async def test_failover_of_a_halted_relay_closes_and_repeats_nothing(
    harness: RelayHarness, other: RelayParts
) -> None:
    authors = [await begun(harness, "c1", "a"), await begun(harness, "c1", "a")]
    posts = harness.connections.posts["c1"]
    had = len(posts)
    harness.connections.hold()
    for author in authors:
        await author.say("b", "c", "d")
    harness.pump()
    attempts = harness.connections.attempts
    await eventually(lambda: harness.connections.attempts == attempts + 1)
    halting = asyncio.create_task(harness.dispatcher.halt())
    await asyncio.sleep(0)
    harness.connections.release()
    await halting
    assert len(posts) == had + 1  # what was under way has arrived
    await harness.relay.lease.end()
    await other.failover.step()
    assert await harness.valkey.undelivered(RELAY) == set()
    for author in authors:
        await author.complete()
    harness.pump()
    await other.dispatcher.drain()
    assert other.taken_over == [True]
    assert not harness.connections.deleted
    for author in authors:
        assert [post for post in posts if post in author.written] == author.written
    assert len(posts) == sum(len(author.written) for author in authors)
