"""A client has a response delivered to another connection: two relays over one fake."""

import asyncio

import pytest

from axon.management_api import PostUncertainError
from relay.reconciler import LOST_AFTER
from tests.support.eventually import eventually
from tests.unit.relay.log_author import Author
from tests.unit.relay.relay_harness import RELAY, RelayParts, World, begun


@pytest.fixture
async def other(world: World) -> RelayParts:
    """A second relay: it serves connection "c2", the first one "c1"."""
    other = await world.join("relay-b")
    busy = [await world.open(connection_id) for connection_id in ("c1", "c2")]
    for author in busy:
        await author.complete()
    world.pump()
    await world.dispatcher.drain()
    await other.dispatcher.drain()
    world.connections.posts.clear()
    return other


async def finish(world: World, author: Author, *, on: str, first: int) -> None:
    await author.say("and", "more")
    world.pump()
    await author.complete()
    world.pump()
    await world.received(author, on=on, first=first)
    assert not world.connections.deleted


@pytest.mark.parametrize("first", [0, 1, 3, 4])
async def test_on_another_connection_of_the_same_relay(world: World, first: int) -> None:
    author = await begun(world, "c1", "a", "b")
    had = list(author.written)
    await author.resume("c2", first=first)
    world.pump()
    await finish(world, author, on="c2", first=first)
    await world.dispatcher.drain()
    assert world.connections.posts["c1"] == had
    assert not world.dispatcher.deliveries
    assert await world.valkey.undelivered(RELAY) == set()


@pytest.mark.parametrize("first", [0, 1, 3, 4])
async def test_on_another_relay(world: World, other: RelayParts, first: int) -> None:
    author = await begun(world, "c1", "a", "b")
    had = list(author.written)
    await author.resume("c2", first=first)
    world.pump()
    assert (await world.describe(author)).relay_id == "relay-b"
    assert not world.dispatcher.deliveries
    await finish(world, author, on="c2", first=first)
    assert world.connections.posts["c1"] == had


async def test_on_the_same_connection_it_begins_again_there(world: World) -> None:
    author = await begun(world, "c1", "a", "b")
    world.connections.posts["c1"].clear()
    await author.resume("c1", first=1)
    world.pump()
    await finish(world, author, on="c1", first=1)


@pytest.mark.parametrize("on", ["c1", "c2"])
async def test_while_a_post_is_under_way(world: World, other: RelayParts, on: str) -> None:
    author = await begun(world, "c1", "a")
    world.connections.hold()
    await author.say("b", "c")
    under_way = author.written[-2]
    attempts = world.connections.attempts
    world.pump()
    await eventually(lambda: world.connections.attempts == attempts + 1)
    had = list(world.connections.posts["c1"])
    first = len(author.written) - 2
    await author.resume(on, first=first)
    world.pump()
    world.connections.release()
    await eventually(lambda: len(world.connections.posts["c1"]) > len(had))
    assert world.connections.posts["c1"][len(had)] == under_way
    if on == "c1":
        del world.connections.posts["c1"][: len(had) + 1]
    await finish(world, author, on=on, first=first)


async def test_what_has_ended(world: World) -> None:
    author = await begun(world, "c1", "a")
    await author.complete()
    world.pump()
    await world.dispatcher.drain()
    for connection_id in ("c2", "c1"):
        world.connections.posts["c1"].clear()
        await author.resume(connection_id, first=2)
        world.pump()
        await world.dispatcher.drain()
        await world.received(author, on=connection_id, first=2)
    assert await world.valkey.undelivered(RELAY) == set()


async def test_what_has_ended_and_was_told_to_its_end_is_settled_without_a_post(
    world: World,
) -> None:
    author = await begun(world, "c1", "a")
    await author.complete()
    world.pump()
    await world.dispatcher.drain()
    attempts = world.connections.attempts
    world.dispatcher.deliver_from(author.response_id, "c1", first=len(author.written))
    await world.dispatcher.drain()
    assert world.connections.attempts == attempts
    assert not world.connections.deleted
    assert not world.dispatcher.deliveries


async def test_there_and_back(world: World, other: RelayParts) -> None:
    author = await begun(world, "c1", "a", "b")
    posts = world.connections.posts
    await author.resume("c2", first=2)
    world.pump()
    await world.received(author, on="c2", first=2)
    await author.say("c")
    world.pump()
    await world.received(author, on="c2", first=2)
    posts["c1"].clear()
    await author.resume("c1", first=3)
    world.pump()
    had = list(posts["c2"])
    await finish(world, author, on="c1", first=3)
    assert posts["c2"] == had


async def test_the_former_relay_need_not_hear_of_it(world: World, other: RelayParts) -> None:
    """Nor the new one: the log says to each where it stands."""
    author = await begun(world, "c1", "a")
    had = list(author.written)
    await author.resume("c2", first=1)
    world.lose()
    for relay in world.relays.values():
        relay.dispatcher.request_read_all()
    await finish(world, author, on="c2", first=1)
    assert world.connections.posts["c1"] == had


async def test_a_resumption_that_is_heard_after_it_was_found_changes_nothing(
    world: World,
) -> None:
    author = await begun(world, "c1", "a")
    await author.resume("c2", first=1)
    resumption = world.valkey.published[-1]
    world.lose()
    await author.say("b")
    world.pump()  # the relay looks into the log
    await world.settled(author)
    world.valkey.published.append(resumption)
    world.pump()
    await finish(world, author, on="c2", first=1)


async def test_after_an_interruption(world: World) -> None:
    author = await world.open("c1")
    world.connections.fail("c1", None, PostUncertainError("?"))
    await author.say("a")
    world.pump()
    await eventually(lambda: world.connections.deleted == ["c1"])
    world.connections.deleted.clear()
    assert world.connections.posts["c1"][:-1] == author.written[:1]
    await author.resume("c2", first=1)
    world.pump()
    await finish(world, author, on="c2", first=1)
    await world.dispatcher.drain()
    assert await world.valkey.undelivered(RELAY) == set()
    assert await world.valkey.abandoned() == []


async def test_a_connection_that_is_gone_abandons_and_another_resumes(world: World) -> None:
    author = await begun(world, "c1", "a")
    world.connections.hang_up("c1")
    await author.say("b")
    world.pump()
    await world.dispatcher.drain()
    await author.say("c")
    world.pump()
    await author.resume("c2", first=3)
    world.pump()
    world.now += 61
    assert await world.valkey.abandoned() == []
    await world.relay.lease.beat()
    await finish(world, author, on="c2", first=3)


async def test_data_that_valkey_lost_and_a_worker_restored_go_on(world: World) -> None:
    author = await begun(world, "c1", "a")
    world.valkey.lose()
    await world.relay.reconciler.step()
    await author.restore()
    await world.relay.reconciler.step()
    await finish(world, author, on="c1", first=0)


async def test_a_post_waits_while_its_log_is_lost(world: World) -> None:
    author = await begun(world, "c1", "a")
    world.valkey.deaf.add(RELAY)  # otherwise the event is granted, and the log is not asked
    await author.say("b")
    attempts = world.connections.attempts
    world.valkey.lose()
    world.dispatcher.request_read_all()
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert world.connections.attempts == attempts
    await author.restore()
    await finish(world, author, on="c1", first=0)


async def test_data_that_valkey_lost_for_good_end_in_a_disconnect(world: World) -> None:
    author = await begun(world, "c1", "a")
    await author.say("b")
    world.valkey.lose()
    world.pump()
    for _ in range(LOST_AFTER):
        assert not world.connections.deleted
        await world.relay.reconciler.step()
    await eventually(lambda: world.connections.deleted == ["c1"])
    assert world.connections.posts["c1"][:-1] == author.written[:-1]


@pytest.mark.parametrize("checkpoint", ["restored first", "heard first"])
async def test_a_restored_response_of_unknown_fate_closes_its_connection(
    world: World, checkpoint: str
) -> None:
    """Its relay has no memory of it."""
    author = await begun(world, "c1", "a")
    had = list(author.written)
    await world.dispatcher.cancel()
    again = world.make_relay(RELAY)
    world.valkey.lose()
    await author.restore()
    if checkpoint == "heard first":
        await author.say("b")
        world.pump()
    else:
        for _ in range(2):
            await again.reconciler.step()
    await eventually(lambda: world.connections.deleted == ["c1"])
    assert world.connections.posts["c1"][:-1] == had
    world.connections.deleted.clear()
    await author.resume("c2", first=len(had))
    world.pump()
    await finish(world, author, on="c2", first=len(had))


async def test_a_log_that_begins_anew_with_less_ends_the_connection(world: World) -> None:
    author = await begun(world, "c1", "a", "b")
    world.valkey.lose()
    await author.restore_as_failed()
    world.dispatcher.request_read_all()
    await world.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert b"stream_interrupted" in world.connections.posts["c1"][-1]
