"""Relays that leave just after a failover that has lost logs: no client waits for nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import TailState
from axon.exceptions import UnavailableError
from axon.serialization import loads
from relay import departure
from tests.support import virtual_time
from tests.support.eventually import eventually
from tests.unit.relay.log_author_stub import Author
from tests.unit.relay.relay_harness import RELAY, STOP_TIMEOUT_S, RelayHarness, RelayParts, begun


def in_virtual_time(scenario: Callable[[RelayHarness, RelayParts], Awaitable[None]]) -> None:
    """Run a scenario with two relays: the first has the connections, the other one joins later."""

    async def run() -> None:
        harness = RelayHarness()
        await harness.begin("c1", "c2")
        try:
            await scenario(harness, harness.make_relay("relay-b"))
        finally:
            await harness.end()

    virtual_time.run(run())


async def lost(harness: RelayHarness, connection_id: str) -> Author:
    """Return a response whose log a failover has just lost; its client has all of it."""
    before = harness.valkey.snapshot()
    author = await begun(harness, connection_id, "a")
    harness.valkey.rewind(before)
    await harness.relay.lease.beat()
    harness.dispatcher.confirm_all()
    await asyncio.sleep(1)  # its writer waits for the log
    return author


async def leave(harness: RelayHarness) -> float:
    """Leave as at SIGTERM; return the seconds that it took."""
    began = virtual_time.now()
    await harness.relay.departure.run([asyncio.create_task(asyncio.sleep(0))])
    return virtual_time.now() - began


def interrupted(harness: RelayHarness, connection_id: str, author: Author) -> bool:
    posts = harness.connections.posts[connection_id]
    assert posts[:-1] == author.written
    code: str = loads(posts[-1])["code"]
    return code == "stream_interrupted"


def test_departure_closes_the_connection_of_a_response_that_no_log_has() -> None:
    async def scenario(harness: RelayHarness, _: RelayParts) -> None:
        author = await lost(harness, "c1")
        took_s = await leave(harness)
        assert harness.connections.deleted == ["c1"]
        assert interrupted(harness, "c1", author)
        assert took_s == pytest.approx(departure.RESTORED_S)

    in_virtual_time(scenario)


def test_departure_leaves_a_response_that_is_restored_to_the_next_relay() -> None:
    async def scenario(harness: RelayHarness, other: RelayParts) -> None:
        author = await lost(harness, "c1")
        leaving = asyncio.create_task(leave(harness))
        await asyncio.sleep(1)
        await other.lease.beat()
        await author.restore()
        assert await leaving < departure.RESTORED_S
        assert not harness.connections.deleted
        assert await harness.valkey.undelivered("relay-b") == {author.response_id}

    in_virtual_time(scenario)


def test_departure_hands_over_at_once_what_shares_a_connection_with_a_lost_response() -> None:
    """The next relay delivers it meanwhile; the client resumes both when the connection ends."""

    async def scenario(harness: RelayHarness, other: RelayParts) -> None:
        kept = await begun(harness, "c1", "a")
        had = len(kept.written)
        harness.connections.posts["c1"].clear()
        author = await lost(harness, "c1")
        leaving = asyncio.create_task(leave(harness))
        await eventually(lambda: len(harness.dispatcher.deliveries) == 1)
        assert (await harness.describe(kept)).checkpoint.tail is TailState.CLOSED
        await asyncio.sleep(0.1)
        await other.lease.beat()
        await other.failover.step()
        assert other.taken_over == [True]
        await kept.say("b")
        harness.pump()
        posts = harness.connections.posts["c1"]
        await eventually(lambda: kept.written[-1] in posts)
        await leaving
        assert harness.connections.deleted == ["c1"]
        assert posts[:-1] == [*author.written, *kept.written[had:]]

    in_virtual_time(scenario)


@pytest.mark.parametrize("stop_timeout_s", [STOP_TIMEOUT_S, 3.0])  # the local cloud has 3 s
def test_departure_closes_the_connection_of_what_is_lost_before_another_relay_comes(
    stop_timeout_s: float,
) -> None:
    async def scenario(harness: RelayHarness, other: RelayParts) -> None:
        harness.relay.departure = replace(harness.relay.departure, stop_timeout_s=stop_timeout_s)
        before = harness.valkey.snapshot()
        author = await begun(harness, "c1", "a")
        leaving = asyncio.create_task(leave(harness))
        await eventually(lambda: not harness.dispatcher.deliveries)  # halted
        await asyncio.sleep(1)
        assert not leaving.done()
        harness.valkey.rewind(before)
        await other.lease.beat()
        await leaving
        assert harness.connections.deleted == ["c1"]
        assert interrupted(harness, "c1", author)

    in_virtual_time(scenario)


def test_failover_closes_what_a_relay_has_found_lost_before_it_was_killed() -> None:
    async def scenario(harness: RelayHarness, other: RelayParts) -> None:
        author = await lost(harness, "c1")
        kept = await begun(harness, "c2", "a")
        await harness.relay.reconciler.step()
        await other.lease.beat()
        await harness.kill(harness.relay)
        await other.failover.step()
        await eventually(lambda: harness.connections.deleted == ["c1"])
        assert interrupted(harness, "c1", author)
        assert sorted(other.taken_over) == [False, True]
        await kept.say("b")
        harness.pump()
        await harness.received(kept)

    in_virtual_time(scenario)


def test_departure_closes_what_it_could_not_look_up_in_time() -> None:
    """Valkey is away until the process ends, so nobody knows what the log has in the end."""

    async def scenario(harness: RelayHarness, _: RelayParts) -> None:
        authors = [await begun(harness, name, "a") for name in ("c1", "c2")]

        async def away(*_: object, **__: object) -> None:
            raise UnavailableError("away")

        for name in ("checkpoint", "describe", "end_lease", "interrupt", "abandon", "delivered"):
            setattr(harness.valkey, name, away)
        took_s = await leave(harness)
        assert sorted(harness.connections.deleted) == ["c1", "c2"]
        assert all(interrupted(harness, author.connection_id, author) for author in authors)
        assert took_s <= STOP_TIMEOUT_S + departure.CLOSING_S

    in_virtual_time(scenario)


def test_departure_closes_no_connection_that_the_next_relay_can_serve() -> None:
    async def scenario(harness: RelayHarness, _: RelayParts) -> None:
        author = await begun(harness, "c1", "a")
        assert await leave(harness) == STOP_TIMEOUT_S  # relay-b has not registered
        assert not harness.connections.deleted
        assert await harness.valkey.undelivered(RELAY) == {author.response_id}
        assert (await harness.describe(author)).checkpoint.tail is TailState.CLOSED

    in_virtual_time(scenario)
