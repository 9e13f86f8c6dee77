"""What becomes of a relay's responses when it dies: relays over one fake, killed at each point."""

import asyncio

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.exceptions import UnavailableError
from axon.management_api import ConnectionsApiError, PostThrottledError
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.relay.log_author import Author
from tests.unit.relay.relay_harness import RELAY, RelayParts, World, begun


@pytest.fixture
async def other(world: World) -> RelayParts:
    return await world.join("relay-b")


async def finish(world: World, author: Author, *, on: str = "", first: int = 0) -> None:
    await author.say("and", "more")
    world.pump()
    await author.complete()
    world.pump()
    await world.received(author, on=on, first=first)


async def test_goes_on_where_it_is_known_what_arrived(world: World, other: RelayParts) -> None:
    author = await begun(world, "c1", "a", "b")
    await world.kill(world.relay)
    await author.say("nobody hears this")
    world.lose()
    await other.failover.step()
    await finish(world, author)
    assert not world.connections.deleted
    assert other.taken_over == [True]
    await other.dispatcher.drain()
    assert await world.valkey.undelivered("relay-b") == set()
    assert RELAY not in await world.valkey.expired()


async def test_closes_a_connection_with_a_post_of_uncertain_fate(
    world: World, other: RelayParts
) -> None:
    certain = await begun(world, "c1", "a")
    uncertain = await begun(world, "c1", "a")
    elsewhere = await begun(world, "c2", "a")
    had = list(world.connections.posts["c1"])
    world.connections.hold()
    await uncertain.say("b")
    world.pump()
    attempts = world.connections.attempts
    await eventually(lambda: world.connections.attempts == attempts + 1)
    await world.kill(world.relay)
    world.connections.release()
    await other.failover.step()
    assert other.taken_over == [False]
    await certain.say("stale")
    world.pump()
    await eventually(lambda: world.connections.deleted == ["c1"])
    assert world.connections.posts["c1"][:-1] == had
    assert loads(world.connections.posts["c1"][-1])["code"] == "stream_interrupted"
    await eventually(lambda: set(other.dispatcher.deliveries) == {elsewhere.response_id})
    await world.valkey.register("c3", principal=a_principal("tenant"))
    for author in (certain, uncertain):
        first = len(author.written) - 1
        await author.resume("c3", first=first)
        world.pump()
        await world.received(author, on="c3", first=first)
        world.connections.posts["c3"].clear()
    await finish(world, elsewhere)
    assert await world.valkey.abandoned() == []


async def test_an_adopted_zombie_posts_nothing_more(world: World, other: RelayParts) -> None:
    """It sleeps while it is taken_over, and wakes with a delivery that it has not finished."""
    author = await begun(world, "c1", "a")
    await until_adopted(world, other)
    await author.say("b")
    world.lose()
    world.dispatcher.request_read_all()
    await eventually(lambda: not world.dispatcher.deliveries)
    await finish(world, author)
    assert not world.connections.deleted


async def test_what_a_zombie_was_offered_reaches_nobody(world: World, other: RelayParts) -> None:
    """It hears only when it wakes up, and may post without asking, but its connection is closed."""
    author = await begun(world, "c1", "a")
    had = len(author.written)
    await author.say("b")
    unheard = world.publications()
    await until_adopted(world, other)
    await other.dispatcher.drain()
    assert other.taken_over == [False]
    assert world.connections.deleted == ["c1"]
    for publication in unheard:
        world.dispatcher.receive(publication)
    await world.dispatcher.drain()
    assert world.connections.posts["c1"][:-1] == author.written[:had]
    await world.valkey.register("c3", principal=a_principal("tenant"))
    await author.resume("c3", first=had)
    world.pump()
    await finish(world, author, on="c3", first=had)


async def until_adopted(world: World, other: RelayParts) -> None:
    del world.relays[RELAY]
    await world.outlast()
    world.relays[RELAY] = world.relay
    await other.failover.step()


async def test_a_zombie_is_adopted_back(world: World, other: RelayParts) -> None:
    """It still holds the delivery of its former life, which is behind."""
    author = await begun(world, "c1", "a")
    world.valkey.deaf.add(RELAY)
    await author.say("b")
    world.lose()
    await until_adopted(world, other)
    await world.settled(author)
    assert author.response_id in world.dispatcher.deliveries
    await world.relay.lease.beat()
    await world.kill(other)
    await world.relay.failover.step()
    await finish(world, author)
    assert not world.connections.deleted


async def test_when_the_adopter_dies_before_it_does_anything_a_third_one_goes_on(
    world: World, other: RelayParts
) -> None:
    author = await begun(world, "c1", "a")
    third = await world.join("relay-c")
    await world.kill(world.relay)
    taken_over = await world.valkey.take_over(RELAY, successor_id="relay-b")
    assert [response.response_id for response in taken_over] == [author.response_id]
    await world.kill(other)
    await third.failover.step()
    await finish(world, author)
    assert not world.connections.deleted


async def test_when_the_answer_to_an_adoption_is_lost_the_rescan_goes_on(
    world: World, other: RelayParts
) -> None:
    author = await begun(world, "c1", "a")
    await world.kill(world.relay)
    await world.valkey.take_over(RELAY, successor_id="relay-b")
    for _ in range(2):
        await other.reconciler.step()
    await finish(world, author)


async def test_an_event_may_overtake_the_answer_to_an_adoption(
    world: World, other: RelayParts
) -> None:
    author = await begun(world, "c1", "a")
    await world.kill(world.relay)
    taken_over = await world.valkey.take_over(RELAY, successor_id="relay-b")
    await author.say("b")
    world.pump()
    await world.settled(author)
    other.failover.deliver(taken_over)
    await finish(world, author)
    assert not world.connections.deleted


async def test_all_connections_are_adopted_in_pieces(world: World, other: RelayParts) -> None:
    connection_ids = [f"x{number}" for number in range(250)]
    for connection_id in connection_ids:
        await world.valkey.register(connection_id, principal=a_principal("tenant"))
    world.valkey.deaf.add(RELAY)
    authors = [await world.open(connection_id) for connection_id in connection_ids]
    mine = await world.valkey.undelivered(RELAY)
    world.lose()
    await world.kill(world.relay)
    await other.failover.step()
    assert len(other.taken_over) == len(mine) > 100
    for author in authors:
        if author.response_id in mine:
            await world.received(author)


async def test_does_not_adopt_from_itself_or_from_who_lives(world: World) -> None:
    author = await world.open("c1")
    await world.relay.failover.step()
    world.now += 4  # its own lease has ended, too
    await world.relay.failover.step()
    assert not world.relay.taken_over
    assert await world.valkey.undelivered(RELAY) == {author.response_id}


async def test_when_all_leases_have_ended_the_others_are_given_a_beat(
    world: World, other: RelayParts
) -> None:
    """Valkey was away."""
    author = await begun(world, "c1", "a")
    world.now += 4
    await other.failover.step()
    await other.lease.beat()
    await world.relay.lease.beat()
    await other.failover.step()
    assert not other.taken_over
    assert await world.valkey.undelivered(RELAY) == {author.response_id}


async def test_a_restarted_relay_goes_on_with_its_own(world: World) -> None:
    certain, uncertain = await begun(world, "c1", "a"), await begun(world, "c2", "a")
    checkpoint = DeliveryCheckpoint(len(uncertain.written), TailState.IN_DOUBT)
    await world.valkey.checkpoint(
        uncertain.response_id, checkpoint, relay_id=RELAY, connection_id="c2"
    )
    await world.relay.dispatcher.cancel()
    again = world.make_relay(RELAY)
    await again.lease.end()
    left = await again.failover.take_over_own()
    assert len(left) == 2
    await again.lease.beat()
    again.failover.deliver(left)
    await finish(world, certain)
    await eventually(lambda: world.connections.deleted == ["c2"])


async def test_closing_goes_on_after_throttling_and_refusals(
    world: World, other: RelayParts
) -> None:
    for connection_id in ("c1", "c2"):
        author = await world.open(connection_id)
        await world.valkey.checkpoint(
            author.response_id,
            DeliveryCheckpoint(0, TailState.IN_DOUBT),
            relay_id=(await world.describe(author)).relay_id,
            connection_id=connection_id,
        )
    throttled = PostThrottledError("429")
    world.connections.fail("c1", throttled, throttled, None, throttled)
    world.connections.fail("c2", None, ConnectionsApiError("400"))
    await world.kill(world.relay)
    await other.failover.step()
    for _ in range(2):
        await other.reconciler.step()
    await other.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert await world.valkey.undelivered("relay-b") == set()


async def test_goes_on_when_valkey_was_away(
    world: World, other: RelayParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await begun(world, "c1", "a")
    adopt = world.valkey.take_over
    failures = [UnavailableError("away")]

    async def sometimes(relay_id: str, *, successor_id: str, limit: int = 100) -> object:
        if failures:
            raise failures.pop()
        return await adopt(relay_id, successor_id=successor_id, limit=limit)

    await world.kill(world.relay)
    monkeypatch.setattr(world.valkey, "take_over", sometimes)
    with pytest.raises(UnavailableError):
        await other.failover.step()
    await other.failover.step()
    await finish(world, author)


async def test_a_halted_relay_hands_over_without_closing_or_repeating(
    world: World, other: RelayParts
) -> None:
    authors = [await begun(world, "c1", "a"), await begun(world, "c1", "a")]
    posts = world.connections.posts["c1"]
    had = len(posts)
    world.connections.hold()
    for author in authors:
        await author.say("b", "c", "d")
    world.pump()
    attempts = world.connections.attempts
    await eventually(lambda: world.connections.attempts == attempts + 1)
    halting = asyncio.create_task(world.dispatcher.halt())
    await asyncio.sleep(0)
    world.connections.release()
    await halting
    assert len(posts) == had + 1  # what was under way has arrived
    await world.relay.lease.end()
    await other.failover.step()
    assert await world.valkey.undelivered(RELAY) == set()
    for author in authors:
        await author.complete()
    world.pump()
    await other.dispatcher.drain()
    assert other.taken_over == [True]
    assert not world.connections.deleted
    for author in authors:
        assert [post for post in posts if post in author.written] == author.written
    assert len(posts) == sum(len(author.written) for author in authors)
