"""A relay's deliveries over fakes: publications in, posts out, and how they are settled."""

import asyncio
import random

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Status
from axon.event_log.publication import Publication
from axon.exceptions import UnavailableError
from axon.management_api import ConnectionGoneError, PostThrottledError, PostUncertainError
from axon.serialization import loads
from relay import registry, writers
from relay.dispatcher import Dispatcher
from tests.support.eventually import eventually
from tests.unit.relay.log_author import Author
from tests.unit.relay.relay_harness import RELAY, World


def told(world: World, connection_id: str) -> list[str]:
    """Return the codes of the errors that the client got, if it got nothing else."""
    posts = map(loads, world.connections.posts[connection_id])
    return [post["code"] if post["type"] == "error" else post["type"] for post in posts]


async def status(world: World, author: Author) -> Status:
    meta = await world.valkey.describe(author.response_id)
    assert meta is not None
    return meta.status


async def test_what_comes_too_early_is_not_for_this_relay(world: World) -> None:
    dispatcher = Dispatcher(
        connections=world.connections,
        log=world.valkey,
        completion=world.completion,
        observe_lag=world.lags.append,
    )
    await world.open("c1")
    for publication in world.publications():
        dispatcher.receive(publication)
    assert not dispatcher.deliveries
    assert dispatcher.connections == 0


async def test_delivers_to_the_end_and_settles(world: World) -> None:
    author = await world.open("c1")
    world.pump()
    assert world.dispatcher.deliveries.keys() == {author.response_id}
    await author.say("Hello", " world")
    world.pump()
    await author.complete()
    world.pump()
    await world.dispatcher.drain()
    await world.received(author)
    assert not world.dispatcher.deliveries
    assert world.dispatcher.has_ended(author.response_id, "c1")
    assert await world.valkey.undelivered(RELAY) == set()
    assert len(world.lags) == len(author.written)


async def test_connections_are_counted_once(world: World) -> None:
    authors = [await world.open(connection_id) for connection_id in ("c1", "c1", "c2")]
    world.pump()
    assert (world.dispatcher.connections, len(world.dispatcher.deliveries)) == (2, 3)
    for author in authors:
        await author.complete()
    world.pump()
    await world.dispatcher.drain()
    assert (world.dispatcher.connections, len(world.dispatcher.deliveries)) == (0, 0)


async def test_responses_of_many_connections_do_not_wait_for_each_other(world: World) -> None:
    slow, fast = await world.open("c1"), await world.open("c2")
    world.connections.fail("c1", *[PostThrottledError("429")] * 4)
    await slow.complete()
    await fast.complete()
    world.pump()
    await world.received(fast)
    assert not world.connections.posts["c1"]
    await world.received(slow)


async def test_a_later_response_of_a_connection_has_a_feed_again(world: World) -> None:
    for _ in range(3):
        author = await world.open("c1")
        await author.complete()
        world.pump()
        await world.dispatcher.drain()
        posts = world.connections.posts["c1"]
        assert posts == author.written
        posts.clear()


async def test_late_publications_revive_nothing(world: World) -> None:
    author = await world.open("c1")
    await author.complete()
    publications = world.publications()
    for publication in (*publications, *publications):
        world.dispatcher.receive(publication)
    await world.dispatcher.drain()
    for publication in publications:
        world.dispatcher.receive(publication)
    assert not world.dispatcher.deliveries
    await world.received(author)


async def test_what_is_remembered_of_ended_responses_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "REMEMBERED", 2)
    world.dispatcher.close("c1", ["resp_1", "resp_2", "resp_3"])
    names = ("resp_1", "resp_2", "resp_3")
    assert sum(world.dispatcher.has_ended(name, "c1") for name in names) == 2


async def test_when_the_first_publication_is_lost_the_log_fills_in(world: World) -> None:
    author = await world.open("c1")
    world.lose()
    await author.say("a")
    world.pump()
    await world.received(author)


async def test_find_delivers_a_response_of_which_nothing_was_heard(world: World) -> None:
    author = await world.open("c1")
    await author.complete()
    world.lose()
    await world.dispatcher.find(author.response_id)
    await world.dispatcher.drain()
    await world.received(author)
    await world.dispatcher.find(author.response_id)
    await world.dispatcher.drain()
    await world.received(author)


async def test_doubt_brings_what_was_lost_last(world: World) -> None:
    author = await world.open("c1")
    world.pump()
    await world.received(author)
    await author.say("a", "b")
    world.lose()
    world.dispatcher.request_read_all()
    await world.received(author)


async def test_a_gone_client_ends_its_deliveries_and_abandons_its_responses(world: World) -> None:
    authors = [await world.open("c1"), await world.open("c1")]
    other = await world.open("c2")
    world.connections.hang_up("c1")
    world.pump()
    await eventually(
        lambda: not world.connections.posts["c1"] and len(world.dispatcher.deliveries) == 1
    )
    for author in authors:
        while author.response_id in await world.valkey.undelivered(RELAY):
            await asyncio.sleep(0)
        await author.say("still there?")
    world.now += 61
    await world.relay.lease.beat()
    await world.terminator.cancel_abandoned()
    for author in authors:
        assert await status(world, author) is Status.CANCELLED
    assert await status(world, other) is Status.QUEUED
    world.pump()  # the events and cancellations were published, too
    assert world.dispatcher.deliveries.keys() == {other.response_id}
    await eventually(lambda: len(world.connections.posts["c2"]) == 1)
    assert world.connections.deleted == []
    assert await world.valkey.undelivered(RELAY) == {other.response_id}


async def test_an_uncertain_post_closes_the_connection(world: World) -> None:
    author = await world.open("c1")
    world.connections.fail("c1", PostUncertainError("timeout"))
    world.pump()
    await world.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert told(world, "c1") == ["stream_interrupted"]
    assert await world.valkey.undelivered(RELAY) == set()
    await author.say("more")
    world.pump()
    assert not world.dispatcher.deliveries
    world.now += 61
    assert await world.valkey.abandoned() == [author.response_id]


async def test_close_stops_a_post_that_is_under_way(world: World) -> None:
    author = await world.open("c1")
    await author.say("a")
    world.connections.hold()
    world.pump()
    await eventually(lambda: world.connections.attempts == 1)
    world.dispatcher.close("c1")
    await eventually(lambda: world.connections.attempts == 2)
    world.connections.release()
    await world.dispatcher.drain()
    assert told(world, "c1") == ["stream_interrupted"]
    assert world.connections.deleted == ["c1"]
    assert not world.dispatcher.deliveries


async def test_an_unforeseen_error_closes_the_connection_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.open("c1")
    world.connections.fail("c1", ZeroDivisionError("a defect"))
    world.pump()
    await world.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert "a defect" in caplog.text
    assert "Traceback" in caplog.text


async def test_settling_waits_for_valkey(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    author = await world.open("c1")
    await author.complete()
    failures = [UnavailableError("away")] * 2
    delivered = world.valkey.delivered

    async def sometimes(
        relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        if failures:
            raise failures.pop()
        await delivered(relay_id, response_id, connection_id=connection_id)

    monkeypatch.setattr(world.valkey, "delivered", sometimes)
    world.pump()
    await world.dispatcher.drain()
    assert not failures
    assert await world.valkey.undelivered(RELAY) == set()


async def test_errors_while_settling_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_connection_id: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.valkey, "abandon", broken)
    await world.open("c1")
    world.connections.hang_up("c1")
    world.pump()
    await world.dispatcher.drain()
    assert "could not be completed" in caplog.text


@pytest.mark.parametrize("seed", range(10))
async def test_losses_repeats_and_refusals_at_random_change_nothing(
    world: World, seed: int
) -> None:
    chance = random.Random(seed)
    authors = [await world.open(f"c{1 + index % 2}") for index in range(6)]
    on_the_way: list[Publication] = []
    for connection_id in ("c1", "c2"):
        failures = [None, None, None, PostThrottledError("429")]
        world.connections.fail(connection_id, *chance.choices(failures, k=30))

    async def arrive() -> None:
        on_the_way.extend(p for p in world.publications() if chance.random() > 0.2)
        chance.shuffle(on_the_way)
        for publication in on_the_way[: chance.randint(0, 6)]:
            world.dispatcher.receive(publication)
        del on_the_way[: chance.randint(0, 4)]
        await asyncio.sleep(0)

    for _ in range(10):
        for author in authors:
            await author.say(*"ab"[: chance.randint(0, 2)])
            await arrive()
    for author in authors:
        await author.complete()
        await arrive()
        await world.dispatcher.find(author.response_id)
    world.dispatcher.request_read_all()
    await world.dispatcher.drain()
    for author in authors:
        posts = world.connections.posts[author.connection_id]
        own = [post for post in posts if post in set(author.written)]
        assert sorted(own, key=lambda post: int(loads(post)["sequence_number"])) == own
        assert own == author.written
    total = sum(len(author.written) for author in authors)
    assert sum(map(len, world.connections.posts.values())) == total


async def test_closing_gives_up_on_a_connection_that_is_gone(world: World) -> None:
    await world.open("c1")
    world.connections.fail("c1", PostUncertainError("timeout"), ConnectionGoneError("410"))
    world.pump()
    await world.dispatcher.drain()
    assert await world.valkey.undelivered(RELAY) == set()


async def test_halting_does_not_wait_for_a_post_that_hangs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "HALT_S", 0.05)
    author = await world.open("c1")
    world.connections.hold()
    world.pump()
    await eventually(lambda: world.connections.attempts == 1)
    await world.dispatcher.halt()
    assert (await world.describe(author)).checkpoint == DeliveryCheckpoint(0, TailState.GRANTED)
    await author.say("a")
    world.pump()
    assert world.connections.attempts == 1


async def test_a_halted_relay_closes_nothing_and_takes_nothing_on(world: World) -> None:
    author, later = await world.open("c1"), await world.open("c2")
    world.pump()
    await world.settled(author)
    await world.dispatcher.halt()
    await author.say("a")
    await later.resume("c1", first=0)
    world.pump()
    await world.dispatcher.find(author.response_id)
    await world.dispatcher.find(later.response_id)
    await world.dispatcher.drain()
    assert not world.dispatcher.deliveries
    assert world.connections.attempts == 2
    assert not world.connections.deleted


async def test_closing_a_connection_stops_all_of_its_responses(world: World) -> None:
    known, unknown = await world.open("c1"), await world.open("c1")
    for publication in world.publications()[:1]:
        world.dispatcher.receive(publication)
    await world.settled(known)
    world.connections.fail("c1", *[PostThrottledError("429")] * 3)
    world.dispatcher.close("c1", [unknown.response_id])
    for author in (known, unknown):
        await author.say("a")
        await author.resume("c1", first=0)
        world.pump()
        assert not world.dispatcher.deliveries
    await world.dispatcher.drain()
    assert world.connections.deleted == ["c1"]
    assert world.connections.posts["c1"][:-1] == known.written[:1]
    for author in (known, unknown):
        assert not world.dispatcher.has_ended(author.response_id, "c2")
        assert world.dispatcher.has_ended(author.response_id, "c1")


async def test_a_connection_is_closed_once(world: World) -> None:
    first, second = await world.open("c1"), await world.open("c1")
    world.lose()
    world.dispatcher.close("c1", [first.response_id])
    world.dispatcher.close("c1", [second.response_id])  # the fake refuses two posts at a time
    await world.dispatcher.drain()
    assert told(world, "c1") == ["stream_interrupted"]
    assert world.connections.deleted == ["c1"]
    assert await world.valkey.undelivered(RELAY) == set()


async def test_many_lookups_of_one_response_are_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await world.open("c1")
    world.lose()
    describe, described = world.valkey.describe, []

    async def counted(response_id: str) -> object:
        described.append(response_id)
        await asyncio.sleep(0)
        return await describe(response_id)

    monkeypatch.setattr(world.valkey, "describe", counted)
    await author.say("a", "b", "c")
    world.pump()
    await world.received(author)
    assert described == [author.response_id]
