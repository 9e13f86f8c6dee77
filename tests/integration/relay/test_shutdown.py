"""A relay is told to stop, and hands over what it has."""

import asyncio
import signal
import time

from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, Stage, write
from tests.support.eventually import eventually
from tests.unit.axon.adapters.aws.strict_gateway import HANG

LEAVING = "relay-leaving"


async def test_another_relay_goes_on_at_once(stage: Stage) -> None:
    """Long before the lease would end; what is posted meanwhile is neither lost nor repeated."""
    leaving = await stage.spawn(relay_id=LEAVING, relay_lease_s="60")
    await stage.registered(LEAVING)
    authors = [await stage.open(connection_id) for connection_id in CONNECTIONS[:4] * 2]
    stage.gateway.delay_s = 0.02
    async with stage.relay():
        writing = asyncio.gather(*(write(author, 40, pause_s=0.02) for author in authors))
        await eventually(lambda: all(len(stage.gateway.posts[c]) > 10 for c in CONNECTIONS[:4]))
        leaving.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert await leaving.wait() == 0
        assert time.monotonic() - told < 20  # even on a machine that is very busy
        assert await stage.undelivered(LEAVING) == set()
        await writing
        await stage.all_delivered()
    stage.check(*authors)
    assert not stage.gateway.deleted


async def test_a_post_that_hangs_does_not_keep_the_others(stage: Stage) -> None:
    leaving = await stage.spawn(relay_id=LEAVING, relay_lease_s="60")
    await stage.registered(LEAVING)
    hanging, throttled, idle = [await stage.open(c) for c in CONNECTIONS[:3]]
    await stage.settled(hanging, throttled, idle)
    stage.gateway.failures[CONNECTIONS[0]].append(HANG)
    stage.gateway.failures[CONNECTIONS[1]].extend([429] * 1000)
    paths = len(stage.gateway.paths)
    await hanging.say("one")
    await throttled.say("one")
    await eventually(lambda: len(stage.gateway.paths) >= paths + 4)
    async with stage.relay():
        leaving.send_signal(signal.SIGTERM)
        assert await leaving.wait() == 0
        stage.gateway.failures[CONNECTIONS[1]].clear()
        await asyncio.gather(write(throttled, 2), write(idle, 2))
        await stage.all_delivered()
    stage.check(throttled, idle)
    assert stage.interrupted(CONNECTIONS[0]) == hanging.written[:1]
    assert stage.gateway.deleted == [CONNECTIONS[0]]


async def test_without_another_relay_the_next_one_goes_on(stage: Stage) -> None:
    process = await stage.spawn(stop_timeout_s="0.5")
    await stage.registered()
    author = await stage.open(CONNECTIONS[0])
    await stage.settled(author)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert await stage.lease_of(RELAY) == 0
    await author.say("one")
    async with stage.relay(relay_id="relay-next"):
        await write(author, 3)
        await stage.all_delivered("relay-next")
    stage.check(author)
    assert not stage.gateway.deleted


async def test_nothing_is_posted_while_it_waits_for_another_one(stage: Stage) -> None:
    process = await stage.spawn(stop_timeout_s="1.5")
    await stage.registered()
    author = await stage.open(CONNECTIONS[0])
    await stage.settled(author)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        while await stage.lease_of(RELAY) != 0:
            await asyncio.sleep(0.01)
    await author.say("one", "two")
    assert await process.wait() == 0
    assert await stage.lease_of(RELAY) == 0  # no beat came later
    assert stage.gateway.posts[CONNECTIONS[0]] == author.written[:1]
    async with stage.relay():
        await write(author, 3)
        await stage.all_delivered()
    stage.check(author)
