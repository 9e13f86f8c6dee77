"""A relay is stopped, and hands over what it has."""

import asyncio
import signal
import time

from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, RelayHarness, write
from tests.support.eventually import eventually
from tests.unit.axon.adapters.aws.gateway_stub import HANG

LEAVING = "relay-leaving"


async def test_shutdown_lets_another_relay_continue_at_once(harness: RelayHarness) -> None:
    """Long before the lease would end; what is posted meanwhile is neither lost nor repeated."""
    leaving = await harness.spawn(relay_id=LEAVING, relay_lease_s="60")
    await harness.registered(LEAVING)
    authors = [await harness.open(connection_id) for connection_id in CONNECTIONS[:4] * 2]
    harness.gateway.delay_s = 0.02
    async with harness.relay():
        writing = asyncio.gather(*(write(author, 40, pause_s=0.02) for author in authors))
        await eventually(lambda: all(len(harness.gateway.posts[c]) > 10 for c in CONNECTIONS[:4]))
        leaving.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert await leaving.wait() == 0
        assert time.monotonic() - told < 20  # even on a machine that is very busy
        assert await harness.undelivered(LEAVING) == set()
        await writing
        await harness.all_delivered()
    harness.check(*authors)
    assert not harness.gateway.deleted


async def test_shutdown_is_not_kept_by_a_hanging_post(harness: RelayHarness) -> None:
    leaving = await harness.spawn(relay_id=LEAVING, relay_lease_s="60")
    await harness.registered(LEAVING)
    hanging, throttled, idle = [await harness.open(c) for c in CONNECTIONS[:3]]
    await harness.completed(hanging, throttled, idle)
    harness.gateway.failures[CONNECTIONS[0]].append(HANG)
    harness.gateway.failures[CONNECTIONS[1]].extend([429] * 1000)
    paths = len(harness.gateway.paths)
    await hanging.say("one")
    await throttled.say("one")
    await eventually(lambda: len(harness.gateway.paths) >= paths + 4)
    async with harness.relay():
        leaving.send_signal(signal.SIGTERM)
        assert await leaving.wait() == 0
        harness.gateway.failures[CONNECTIONS[1]].clear()
        await asyncio.gather(write(throttled, 2), write(idle, 2))
        await harness.all_delivered()
    harness.check(throttled, idle)
    assert harness.interrupted(CONNECTIONS[0]) == hanging.written[:1]
    assert harness.gateway.deleted == [CONNECTIONS[0]]


async def test_shutdown_leaves_deliveries_to_the_next_relay(harness: RelayHarness) -> None:
    process = await harness.spawn(stop_timeout_s="0.5")
    await harness.registered()
    author = await harness.open(CONNECTIONS[0])
    await harness.completed(author)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert await harness.lease_of(RELAY) == 0
    await author.say("one")
    async with harness.relay(relay_id="relay-next"):
        await write(author, 3)
        await harness.all_delivered("relay-next")
    harness.check(author)
    assert not harness.gateway.deleted


async def test_shutdown_posts_nothing_while_it_waits_for_another_relay(
    harness: RelayHarness,
) -> None:
    process = await harness.spawn(stop_timeout_s="1.5")
    await harness.registered()
    author = await harness.open(CONNECTIONS[0])
    await harness.completed(author)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        while await harness.lease_of(RELAY) != 0:
            await asyncio.sleep(0.01)
    await author.say("one", "two")
    assert await process.wait() == 0
    assert await harness.lease_of(RELAY) == 0  # no beat came later
    assert harness.gateway.posts[CONNECTIONS[0]] == author.written[:1]
    async with harness.relay():
        await write(author, 3)
        await harness.all_delivered()
    harness.check(author)
