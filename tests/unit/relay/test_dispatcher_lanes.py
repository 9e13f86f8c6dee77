"""Lanes of a connection: the responses of one are delivered one after the other."""

import asyncio
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.serialization import loads
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.relay.log_author_stub import TENANT, Author
from tests.unit.relay.relay_harness import RELAY, RelayHarness, RelayParts

LANE = "*"


@pytest.fixture
async def other(harness: RelayHarness) -> RelayParts:
    return await harness.join("relay-b")


async def opened(harness: RelayHarness, count: int = 2, *, on: str = "c1") -> list[Author]:
    return [await harness.open(on, lane=LANE) for _ in range(count)]


async def got(harness: RelayHarness, *events: bytes, on: str = "c1") -> None:
    """Wait until a connection has exactly these events."""
    posts = harness.connections.posts[on]
    await eventually(lambda: len(posts) >= len(events))
    await rest()
    assert posts == list(events)


async def rest() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def step(harness: RelayHarness, *relays: RelayParts, seconds: int = 3) -> None:
    """Take the relays' steps of some seconds."""
    for _ in range(seconds):
        harness.now += 1
        for relay in relays or tuple(harness.relays.values()):
            await relay.lease.beat()
            await relay.reconciler.step()
        await rest()


def codes(harness: RelayHarness, connection_id: str) -> list[str]:
    return [loads(post).get("code") for post in harness.connections.posts[connection_id]]


async def test_lane_delivers_one_response_after_the_other(harness: RelayHarness) -> None:
    first, second = await opened(harness)
    await second.say("b")
    await first.say("a")
    await second.complete()
    harness.pump()
    await got(harness, *first.written)
    await first.complete()
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.posts["c1"] == first.written + second.written
    assert await harness.valkey.undelivered(RELAY) == set()


async def test_lanes_of_a_connection_are_delivered_side_by_side(harness: RelayHarness) -> None:
    first, waiting = await opened(harness)
    others = [await harness.open("c1", lane="a"), await harness.open("c1")]
    for author in (first, waiting, *others):
        await author.say("a")
    harness.pump()
    written = sorted(event for author in (first, *others) for event in author.written)
    await eventually(lambda: len(harness.connections.posts["c1"]) == len(written))
    assert sorted(harness.connections.posts["c1"]) == written
    assert harness.connections.posts["c1"][:3] != first.written[:3], "they take turns"


async def test_lane_waits_for_a_response_whose_publications_were_lost(
    harness: RelayHarness,
) -> None:
    first, second = await opened(harness)
    await first.say("a")
    harness.lose()
    third = await harness.open("c1", lane=LANE)
    await second.say("b")
    for author in (third, second, first):
        await author.complete()
        if author is third:
            harness.pump()
            await got(harness, *first.written)
    harness.pump()
    await harness.dispatcher.drain()
    expected = first.written + second.written + third.written
    assert harness.connections.posts["c1"] == expected


async def test_lane_waits_for_what_came_before_a_response_that_has_moved(
    harness: RelayHarness,
) -> None:
    first, moved = await opened(harness)
    await moved.resume("c2", first=0)
    third = await harness.open("c1", lane=LANE)
    await third.complete()
    published = harness.publications()
    harness.dispatcher.receive(published[-1])
    harness.dispatcher.receive(published[-3])
    await got(harness, *first.written)
    await first.complete()
    harness.pump()
    await eventually(lambda: first.response_id not in harness.dispatcher.deliveries)
    await got(harness, *first.written, *third.written)


async def test_lane_keeps_its_order_after_a_takeover(
    harness: RelayHarness, other: RelayParts
) -> None:
    first, second, third = await opened(harness, 3)
    for author in (third, second, first):
        await author.say("a")
    harness.pump()
    await harness.completed(first)
    await harness.kill(harness.relay)
    await third.complete()
    harness.lose()
    await other.failover.step()
    assert other.taken_over == [True], "nothing that waits is in doubt"
    for author in (second, first):
        await author.complete()
        harness.pump()
    await other.dispatcher.drain()
    expected = first.written + second.written + third.written
    assert harness.connections.posts["c1"] == expected
    assert not harness.connections.deleted


async def test_lane_waits_for_a_response_that_a_dead_relay_still_has(
    harness: RelayHarness, other: RelayParts
) -> None:
    (first,) = await opened(harness, 1)
    harness.pump()
    await harness.completed(first)
    await harness.kill(harness.relay)
    second = await harness.open("c1", lane=LANE)
    await second.complete()
    harness.pump()
    await rest()
    assert harness.connections.posts["c1"] == first.written
    await other.failover.step()
    await first.complete()
    harness.pump()
    await got(harness, *first.written, *second.written)


async def test_lane_goes_on_when_the_response_before_was_delivered_by_a_dead_relay(
    harness: RelayHarness, other: RelayParts
) -> None:
    first, second = await opened(harness)
    harness.lose()
    await first.complete()
    await harness.valkey.delivered(RELAY, first.response_id)
    await harness.kill(harness.relay)
    await other.failover.step()
    await got(harness, *second.written)


async def test_lane_goes_on_after_a_response_has_moved_and_its_client_was_told(
    harness: RelayHarness, other: RelayParts
) -> None:
    first, second = await opened(harness)
    await first.say("a")
    await second.complete()
    harness.pump()
    await harness.completed(first)
    await first.resume("c2", first=1)
    harness.pump()
    await harness.received(first, on="c2", first=1)
    await eventually(lambda: second.response_id not in harness.dispatcher.deliveries)
    had = len(first.written)
    assert harness.connections.posts["c1"][:had] == first.written
    assert loads(harness.connections.posts["c1"][had])["code"] == "response_moved"
    assert harness.connections.posts["c1"][had + 1 :] == second.written


async def test_lane_goes_on_after_a_move_of_which_only_the_log_knows(
    harness: RelayHarness, other: RelayParts
) -> None:
    first, second = await opened(harness)
    await second.complete()
    harness.pump()
    await harness.completed(first)
    await first.resume("c2", first=1)
    moved = harness.publications()
    await first.say("a")
    harness.valkey.disconnected.add(RELAY)
    harness.lose()
    await step(harness)
    for publication in moved:
        harness.dispatcher.receive(publication)
    await eventually(lambda: second.response_id not in harness.dispatcher.deliveries)
    assert codes(harness, "c1").count("response_moved") == 1
    assert harness.connections.posts["c1"][2:] == second.written


async def test_lane_waits_for_its_head_while_that_is_looked_up_again(
    harness: RelayHarness,
) -> None:
    """The publication of an older resumption comes after the newer one was found in the log."""
    first = await harness.open("c1", lane=LANE)
    await first.say("a")
    harness.pump()
    await harness.completed(first)
    await first.resume("c2", first=0)
    older = harness.publications()[-1]
    await first.resume("c2", first=1)
    harness.lose()
    await first.say("b")
    harness.pump()  # the relay looks into the log
    second = await harness.open("c2", lane=LANE)
    await second.complete()
    harness.pump()
    await got(harness, *first.written[1:], on="c2")
    harness.dispatcher.receive(older)
    await rest()
    await first.complete()
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.posts["c2"] == first.written[1:] + second.written


async def test_notice_of_a_move_has_the_stream_id_of_its_lane(harness: RelayHarness) -> None:
    author = await harness.open("c1", lane="a%20b")
    harness.pump()
    await harness.completed(author)
    await author.resume("c2", first=1)
    harness.pump()
    await eventually(lambda: len(harness.connections.posts["c1"]) == 2)
    assert loads(harness.connections.posts["c1"][1])["stream_id"] == "a b"


async def test_resumed_response_is_the_last_one_of_its_lane(harness: RelayHarness) -> None:
    (there,) = await opened(harness, 1, on="c2")
    (here,) = await opened(harness, 1)
    await here.say("a")
    harness.pump()
    await harness.completed(here)
    await here.resume("c2", first=2)
    harness.pump()
    await here.complete()
    harness.pump()
    await got(harness, *there.written, on="c2")
    await there.complete()
    harness.pump()
    await got(harness, *there.written, *here.written[2:], on="c2")


async def test_response_that_is_resumed_where_it_is_delivered_keeps_its_place(
    harness: RelayHarness,
) -> None:
    first, second = await opened(harness)
    await second.complete()
    harness.pump()
    await harness.completed(first)
    await first.resume("c1", first=0)
    await first.complete()
    harness.pump()
    await got(harness, first.written[0], *first.written, *second.written)


async def test_waiting_response_is_kept_until_its_turn_comes(harness: RelayHarness) -> None:
    first, second = await opened(harness)
    await second.complete()
    harness.pump()
    for _ in range(30):
        await step(harness, seconds=20)
        await first.say("a")
    harness.pump()
    await first.complete()
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.posts["c1"] == first.written + second.written
    assert not harness.connections.deleted


async def test_waiting_response_that_was_erased_is_left_out(harness: RelayHarness) -> None:
    first, second = await opened(harness)
    third = await harness.open("c1", lane=LANE)
    for author in (second, third):
        await author.complete()
    harness.pump()
    log = harness.valkey._logs[second.response_id]
    await rest()
    log.meta = replace(log.meta, tenant_id="")
    log.events_expire = harness.now
    await first.complete()
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.posts["c1"] == first.written + third.written
    assert not harness.connections.deleted


async def test_waiting_response_confirms_what_its_client_has_after_a_failover(
    harness: RelayHarness,
) -> None:
    first, second = await opened(harness)
    await second.say("a")
    harness.pump()
    await harness.completed(first)
    harness.valkey.rewind(harness.valkey.snapshot())
    harness.dispatcher.confirm_all()
    await rest()
    meta = await harness.describe(second)
    assert meta.checkpoint == DeliveryCheckpoint(0, TailState.CLOSED)
    claim = await harness.valkey.claim(second.response_id)
    assert not claim.unsure


async def test_lane_opens_when_its_connection_is_gone(harness: RelayHarness) -> None:
    first, second = await opened(harness)
    harness.connections.hang_up("c1")
    harness.pump()
    await harness.dispatcher.drain()
    await harness.valkey.register("c2", principal=a_principal(TENANT))
    for author in (second, first):
        await author.resume("c2", first=0)
        await author.complete()
    harness.pump()
    await harness.dispatcher.drain()
    assert harness.connections.posts["c2"] == second.written + first.written


async def test_relay_that_shuts_down_hands_a_lane_over_without_a_doubt(
    harness: RelayHarness, other: RelayParts
) -> None:
    first, second = await opened(harness)
    await second.say("b")
    harness.pump()
    await harness.completed(first)
    await harness.dispatcher.halt()
    await harness.valkey.end_lease(RELAY)
    await other.failover.step()
    assert other.taken_over == [True]
    for author in (second, first):
        await author.complete()
        harness.pump()
    await other.dispatcher.drain()
    assert harness.connections.posts["c1"] == first.written + second.written
