"""Relays die, sleep and wake in processes of their own; another one, here, takes over."""

import asyncio
import signal
import time
from asyncio.subprocess import Process

import aiohttp
import pytest

from axon.adapters.valkey import keys
from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, RelayHarness, write
from tests.support.eventually import eventually
from tests.unit.axon.adapters.aws.gateway_stub import HANG
from tests.unit.relay.log_author_stub import Author

DOOMED = "relay-doomed"
FIRST, SECOND, THIRD = CONNECTIONS[:3]


@pytest.fixture
async def doomed(harness: RelayHarness) -> Process:
    """The only relay so far: every connection that is used now becomes its own."""
    process = await harness.spawn(relay_id=DOOMED, relay_lease_s="1")
    await harness.registered(DOOMED)
    return process


@pytest.fixture
async def post_under_way(harness: RelayHarness, doomed: Process) -> Author:
    """A response with a post in flight that will not be answered."""
    author = await harness.open(FIRST)
    await author.say("one")
    await harness.completed(author)
    harness.gateway.failures[FIRST].append(HANG)
    paths = len(harness.gateway.paths)
    await author.say("two")
    await eventually(lambda: len(harness.gateway.paths) == paths + 1)
    return author


async def test_failover_continues_delivery_within_three_seconds(harness: RelayHarness) -> None:
    doomed = await harness.spawn(relay_id=DOOMED)  # with the lease that relays have
    await harness.registered(DOOMED)
    authors = [await harness.open(connection_id) for connection_id in CONNECTIONS for _ in range(2)]
    for author in authors:
        await author.say("one", "two")
    await harness.completed(*authors)
    async with harness.relay():
        await harness.kill(doomed)
        died = time.monotonic()
        await harness.all_delivered(DOOMED)  # none is left to it
        assert time.monotonic() - died < 3
        await asyncio.gather(*(write(author, 3) for author in authors))
        await harness.all_delivered()
        assert await harness.lease_of(DOOMED) is None
    harness.check(*authors)
    assert not harness.gateway.deleted


@pytest.mark.parametrize("arrives", [True, False])
async def test_failover_disconnects_a_client_with_a_post_in_doubt_which_can_resume(
    harness: RelayHarness, doomed: Process, arrives: bool
) -> None:
    author, other = await harness.open(FIRST), await harness.open(FIRST)
    elsewhere = await harness.open(SECOND)
    for each in (author, other, elsewhere):
        await each.say("one")
    await harness.completed(author, other, elsewhere)
    if arrives:
        harness.gateway.delay_s = 0.1
    else:
        harness.gateway.failures[FIRST].append(HANG)
    paths = len(harness.gateway.paths)
    await author.say("two")
    await eventually(lambda: len(harness.gateway.paths) == paths + 1)
    await harness.kill(doomed)
    async with harness.relay():
        await eventually(lambda: harness.gateway.deleted == [FIRST])
        got = harness.interrupted(FIRST)
        assert (author.written[-1] in got) == arrives
        await harness.valkey.call("DEL", f"axon:connection:{THIRD}")
        for each in (author, other):
            await each.say("three")
            mine = [event for event in got if event in each.written]
            assert mine == each.written[: len(mine)]
            await each.resume(THIRD, first=len(mine))
            await write(each, 2)
        await write(elsewhere, 2)
        await harness.all_delivered()
        assert not await harness.valkey.call("ZCARD", keys.ABANDONED)
    harness.check(elsewhere)
    posts = got + harness.gateway.posts[THIRD]
    for each in (author, other):
        assert [post for post in posts if post in each.written] == each.written
    assert len(posts) == len(author.written) + len(other.written)
    assert harness.gateway.deleted == [FIRST]


async def test_failover_abandons_what_nobody_resumes(
    harness: RelayHarness, post_under_way: Author
) -> None:
    await harness.kill(harness.processes[0])
    async with harness.relay():
        await eventually(lambda: harness.gateway.deleted == [FIRST])
        await harness.all_delivered()
        due = await harness.valkey.call("ZSCORE", keys.ABANDONED, post_under_way.response_id)
        assert 50 < float(due) / 1000 - time.time() < 61
    assert harness.interrupted(FIRST) == post_under_way.written[:-1]


async def test_failover_stops_the_posts_of_a_relay_that_was_only_asleep(
    harness: RelayHarness, unused_tcp_port: int
) -> None:
    zombie = await harness.spawn(
        relay_id=DOOMED, relay_lease_s="1", health_port=str(unused_tcp_port)
    )
    await harness.registered(DOOMED)
    authors = [await harness.open(connection_id) for connection_id in CONNECTIONS]
    await asyncio.gather(*(author.say("one", "two") for author in authors))
    await harness.completed(*authors)
    zombie.send_signal(signal.SIGSTOP)
    async with harness.relay():
        await harness.all_delivered(DOOMED)
        await asyncio.gather(*(author.say("three", "four") for author in authors))
        await harness.completed(*authors)
        zombie.send_signal(signal.SIGCONT)
        await harness.registered(DOOMED)
        await _has_let_go(unused_tcp_port)
        await asyncio.gather(*(write(author, 3) for author in authors))
        await harness.all_delivered()
    harness.check(*authors)
    assert not harness.gateway.deleted


async def test_failover_lets_nothing_granted_to_a_sleeping_relay_arrive(
    harness: RelayHarness, unused_tcp_port: int
) -> None:
    """When it wakes, it receives an event that it may post at once; the connection is closed."""
    zombie = await harness.spawn(
        relay_id=DOOMED, relay_lease_s="1", health_port=str(unused_tcp_port)
    )
    await harness.registered(DOOMED)
    author = await harness.open(FIRST)
    await author.say("one")
    await harness.completed(author)
    zombie.send_signal(signal.SIGSTOP)
    await author.say("two")
    async with harness.relay():
        await eventually(lambda: harness.gateway.deleted == [FIRST])
        zombie.send_signal(signal.SIGCONT)
        await harness.registered(DOOMED)
        await _has_let_go(unused_tcp_port)
        assert harness.interrupted(FIRST) == author.written[:-1]
        first = len(author.written) - 1
        await author.resume(SECOND, first=first)
        await write(author, 3)
        for relay_id in (RELAY, DOOMED):
            await harness.all_delivered(relay_id)
    assert harness.interrupted(FIRST) + harness.gateway.posts[SECOND] == author.written


async def test_failover_is_exact_when_the_sleeping_relay_has_a_post_under_way(
    harness: RelayHarness, post_under_way: Author
) -> None:
    """It wakes with a connection that was closed, and whose response goes elsewhere."""
    author = post_under_way
    zombie = harness.processes[0]
    zombie.send_signal(signal.SIGSTOP)
    async with harness.relay():
        await eventually(lambda: harness.gateway.deleted == [FIRST])
        got = harness.interrupted(FIRST)
        await author.resume(SECOND, first=len(got))
        await author.say("three")
        await harness.completed(author)
        zombie.send_signal(signal.SIGCONT)
        await harness.registered(DOOMED)
        await write(author, 3)
        await harness.all_delivered()
    assert harness.gateway.posts[FIRST][:-1] + harness.gateway.posts[SECOND] == author.written
    assert harness.gateway.deleted == [FIRST]


async def test_failover_continues_on_a_third_relay_when_the_successor_dies(
    harness: RelayHarness, doomed: Process
) -> None:
    authors = [await harness.open(connection_id) for connection_id in CONNECTIONS]
    await asyncio.gather(*(author.say("one") for author in authors))
    await harness.completed(*authors)
    await harness.kill(doomed)
    await asyncio.gather(*(author.say("two") for author in authors))
    await harness.directory.end_lease(DOOMED)
    await harness.directory.heartbeat("relay-too", lease_s=1)
    taken_over = await harness.directory.take_over(DOOMED, successor_id="relay-too")
    assert len(taken_over) == len(authors)  # and there it ends
    async with harness.relay():
        await harness.completed(*authors)
        await asyncio.gather(*(write(author, 3) for author in authors))
        await harness.all_delivered()
    harness.check(*authors)
    assert not harness.gateway.deleted


async def test_failover_continues_a_restarted_relays_own_deliveries(
    harness: RelayHarness,
) -> None:
    former = await harness.spawn()
    await harness.registered()
    author = await harness.open(FIRST)
    await author.say("one")
    await harness.completed(author)
    await harness.kill(former)
    await author.say("two")
    unheard = await harness.open(SECOND)  # its lease is alive still
    async with harness.relay():
        await write(author, 3)
        await write(unheard, 3)
        await harness.all_delivered()
    harness.check(author, unheard)
    assert not harness.gateway.deleted


async def test_failover_delivers_nothing_to_connections_that_it_closes(
    harness: RelayHarness,
) -> None:
    former = await harness.spawn()
    await harness.registered()
    author = await harness.open(FIRST)
    await harness.completed(author)
    harness.gateway.failures[FIRST].append(HANG)
    await author.say("two")
    await eventually(lambda: len(harness.gateway.paths) == 2)
    await harness.kill(former)
    harness.gateway.delay_s = 0.3
    async with harness.relay():
        while not harness.gateway.deleted:
            await author.say("still there? ")
            await asyncio.sleep(0.02)
        await harness.all_delivered()
    assert harness.interrupted(FIRST) == author.written[:1]
    assert len(harness.gateway.paths) == 4  # two posts of the earlier process, an error, a deletion


async def _has_let_go(health_port: int) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(15):
        while True:
            async with session.get(f"http://127.0.0.1:{health_port}/health") as answer:
                if answer.status == 200 and (await answer.json())["undelivered"] == 0:
                    return
            await asyncio.sleep(0.02)
