"""A relay's deliveries over fakes: publications in, posts out, and how they are settled."""

import asyncio
import random

import pytest

from axon.connections import ConnectionGoneError, PostThrottledError, PostUncertainError
from axon.event_log import Status
from axon.exceptions import UnavailableError
from axon.serialization import loads
from relay import feeds as module
from relay.feeds import Feeds
from relay.publication import Publication
from tests.unit.relay.author import Author
from tests.unit.relay.world import RELAY, World, until


async def status(world: World, author: Author) -> Status:
    meta = await world.valkey.describe(author.response_id)
    assert meta is not None
    return meta.status


async def test_what_comes_too_early_is_not_for_this_relay(world: World) -> None:
    feeds = Feeds(
        connections=world.connections,
        log=world.valkey,
        settlement=world.settlement,
        lagged=world.lags.append,
    )
    await world.open("c1")
    for publication in world.publications():
        feeds.receive(publication)
    assert not feeds.deliveries
    assert feeds.connections == 0


async def test_delivers_to_the_end_and_settles(world: World) -> None:
    author = await world.open("c1")
    world.pump()
    assert world.feeds.deliveries.keys() == {author.response_id}
    await author.say("Hello", " world")
    world.pump()
    await author.complete()
    world.pump()
    await world.feeds.drain()
    await world.received(author)
    assert not world.feeds.deliveries
    assert world.feeds.has_ended(author.response_id)
    assert await world.valkey.undelivered(RELAY) == set()
    assert len(world.lags) == len(author.written)


async def test_connections_are_counted_once(world: World) -> None:
    authors = [await world.open(connection_id) for connection_id in ("c1", "c1", "c2")]
    world.pump()
    assert (world.feeds.connections, len(world.feeds.deliveries)) == (2, 3)
    for author in authors:
        await author.complete()
    world.pump()
    await world.feeds.drain()
    assert (world.feeds.connections, len(world.feeds.deliveries)) == (0, 0)


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
        await world.feeds.drain()
        posts = world.connections.posts["c1"]
        assert posts == author.written
        posts.clear()


async def test_late_publications_revive_nothing(world: World) -> None:
    author = await world.open("c1")
    await author.complete()
    publications = world.publications()
    for publication in (*publications, *publications):
        world.feeds.receive(publication)
    await world.feeds.drain()
    for publication in publications:
        world.feeds.receive(publication)
    assert not world.feeds.deliveries
    await world.received(author)


async def test_what_is_remembered_of_ended_responses_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    world.feeds.ignore(["resp_1", "resp_2", "resp_3"])
    remembered = [name for name in ("resp_1", "resp_2", "resp_3") if world.feeds.has_ended(name)]
    assert remembered == ["resp_2", "resp_3"]


async def test_when_the_first_publication_is_lost_the_log_fills_in(world: World) -> None:
    author = await world.open("c1")
    world.lose()
    await author.say("a")
    world.pump()
    await world.received(author)


async def test_resume_delivers_a_response_of_which_nothing_was_heard(world: World) -> None:
    author = await world.open("c1")
    await author.complete()
    world.lose()
    world.feeds.resume(author.response_id, "c1")
    await world.feeds.drain()
    await world.received(author)
    world.feeds.resume(author.response_id, "c1")
    assert not world.feeds.deliveries


async def test_doubt_brings_what_was_lost_last(world: World) -> None:
    author = await world.open("c1")
    world.pump()
    await world.received(author)
    await author.say("a", "b")
    world.lose()
    world.feeds.doubt_all()
    await world.received(author)


async def test_a_gone_client_ends_its_deliveries_and_abandons_its_responses(world: World) -> None:
    authors = [await world.open("c1"), await world.open("c1")]
    other = await world.open("c2")
    world.connections.hang_up("c1")
    world.pump()
    await until(lambda: not world.connections.posts["c1"] and len(world.feeds.deliveries) == 1)
    for author in authors:
        while not (await status(world, author)).terminal:
            await asyncio.sleep(0)
        assert await status(world, author) is Status.CANCELLED
    assert await status(world, other) is Status.QUEUED
    world.pump()  # the cancellations were published, too
    assert world.feeds.deliveries.keys() == {other.response_id}
    await until(lambda: len(world.connections.posts["c2"]) == 1)
    assert world.connections.deleted == []
    assert await world.valkey.undelivered(RELAY) == {other.response_id}


async def test_an_uncertain_post_closes_the_connection(world: World) -> None:
    author = await world.open("c1")
    world.connections.fail("c1", PostUncertainError("timeout"))
    world.pump()
    await world.feeds.drain()
    assert world.connections.deleted == ["c1"]
    assert world.connections.posts["c1"] == []
    assert await status(world, author) is Status.CANCELLED
    assert await world.valkey.undelivered(RELAY) == set()


async def test_close_stops_a_post_that_is_under_way(world: World) -> None:
    author = await world.open("c1")
    await author.say("a")
    world.connections.hold()
    world.pump()
    await until(lambda: world.connections.attempts == 1)
    world.feeds.close("c1")
    world.connections.release()
    await world.feeds.drain()
    assert world.connections.posts["c1"] == []
    assert world.connections.deleted == ["c1"]
    assert not world.feeds.deliveries


async def test_close_all_closes_only_who_still_waits(world: World) -> None:
    done, waiting = await world.open("c1"), await world.open("c2")
    await done.complete()
    world.pump()
    await world.received(done)
    await until(lambda: len(world.feeds.deliveries) == 1)
    await world.feeds.close_all()
    assert world.connections.deleted == ["c2"]
    assert await status(world, waiting) is Status.CANCELLED


async def test_an_unforeseen_error_closes_the_connection_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.open("c1")
    world.connections.fail("c1", ZeroDivisionError("a defect"))
    world.pump()
    await world.feeds.drain()
    assert world.connections.deleted == ["c1"]
    assert "a defect" in caplog.text
    assert "Traceback" in caplog.text


async def test_settling_waits_for_valkey(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    author = await world.open("c1")
    await author.complete()
    failures = [UnavailableError("away")] * 2
    delivered = world.valkey.delivered

    async def sometimes(relay_id: str, response_id: str) -> None:
        if failures:
            raise failures.pop()
        await delivered(relay_id, response_id)

    monkeypatch.setattr(world.valkey, "delivered", sometimes)
    world.pump()
    await world.feeds.drain()
    assert not failures
    assert await world.valkey.undelivered(RELAY) == set()


async def test_errors_while_settling_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_connection_id: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.valkey, "running_for", broken)
    await world.open("c1")
    world.connections.hang_up("c1")
    world.pump()
    await world.feeds.drain()
    assert "could not be settled" in caplog.text


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
            world.feeds.receive(publication)
        del on_the_way[: chance.randint(0, 4)]
        await asyncio.sleep(0)

    for _ in range(10):
        for author in authors:
            await author.say(*"ab"[: chance.randint(0, 2)])
            await arrive()
    for author in authors:
        await author.complete()
        await arrive()
        world.feeds.resume(author.response_id, author.connection_id)
    world.feeds.doubt_all()
    await world.feeds.drain()
    for author in authors:
        posts = world.connections.posts[author.connection_id]
        own = [post for post in posts if post in set(author.written)]
        assert sorted(own, key=lambda post: int(loads(post)["sequence_number"])) == own
        assert own == author.written
    total = sum(len(author.written) for author in authors)
    assert sum(map(len, world.connections.posts.values())) == total


async def test_closing_an_unknown_connection_does_nothing(world: World) -> None:
    world.feeds.close("c1")
    await world.feeds.drain()
    assert world.connections.deleted == []


async def test_closing_gives_up_on_a_connection_that_is_gone(world: World) -> None:
    await world.open("c1")
    world.connections.fail("c1", PostUncertainError("timeout"), ConnectionGoneError("410"))
    world.pump()
    await world.feeds.drain()
    assert await world.valkey.undelivered(RELAY) == set()
