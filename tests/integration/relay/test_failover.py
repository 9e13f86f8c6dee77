"""Relays die, sleep and wake in processes of their own; another one, here, adopts."""

import asyncio
import signal
import time
from asyncio.subprocess import Process

import aiohttp
import pytest

from axon.adapters.valkey import keys
from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, Stage, write
from tests.support.eventually import eventually
from tests.unit.axon.adapters.aws.strict_gateway import HANG
from tests.unit.relay.log_author import Author

DOOMED = "relay-doomed"
FIRST, SECOND, THIRD = CONNECTIONS[:3]


@pytest.fixture
async def doomed(stage: Stage) -> Process:
    """The only relay so far: every connection that is used now becomes its own."""
    process = await stage.spawn(relay_id=DOOMED, relay_lease_s="1")
    await stage.registered(DOOMED)
    return process


@pytest.fixture
async def post_under_way(stage: Stage, doomed: Process) -> Author:
    """A response with a post in flight that will not be answered."""
    author = await stage.open(FIRST)
    await author.say("one")
    await stage.settled(author)
    stage.gateway.failures[FIRST].append(HANG)
    paths = len(stage.gateway.paths)
    await author.say("two")
    await eventually(lambda: len(stage.gateway.paths) == paths + 1)
    return author


async def test_delivery_goes_on_within_three_seconds(stage: Stage) -> None:
    doomed = await stage.spawn(relay_id=DOOMED)  # with the lease that relays have
    await stage.registered(DOOMED)
    authors = [await stage.open(connection_id) for connection_id in CONNECTIONS for _ in range(2)]
    for author in authors:
        await author.say("one", "two")
    await stage.settled(*authors)
    async with stage.relay():
        await stage.kill(doomed)
        died = time.monotonic()
        await stage.all_delivered(DOOMED)  # none is left to it
        assert time.monotonic() - died < 3
        await asyncio.gather(*(write(author, 3) for author in authors))
        await stage.all_delivered()
        assert await stage.lease_of(DOOMED) is None
    stage.check(*authors)
    assert not stage.gateway.deleted


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_post_of_uncertain_fate_ends_in_a_disconnect_and_can_be_resumed(
    stage: Stage, doomed: Process, arrives: bool
) -> None:
    author, other = await stage.open(FIRST), await stage.open(FIRST)
    elsewhere = await stage.open(SECOND)
    for each in (author, other, elsewhere):
        await each.say("one")
    await stage.settled(author, other, elsewhere)
    if arrives:
        stage.gateway.delay_s = 0.1
    else:
        stage.gateway.failures[FIRST].append(HANG)
    paths = len(stage.gateway.paths)
    await author.say("two")
    await eventually(lambda: len(stage.gateway.paths) == paths + 1)
    await stage.kill(doomed)
    async with stage.relay():
        await eventually(lambda: stage.gateway.deleted == [FIRST])
        got = stage.interrupted(FIRST)
        assert (author.written[-1] in got) == arrives
        await stage.valkey.call("DEL", f"axon:connection:{THIRD}")
        for each in (author, other):
            await each.say("three")
            mine = [event for event in got if event in each.written]
            assert mine == each.written[: len(mine)]
            await each.resume(THIRD, first=len(mine))
            await write(each, 2)
        await write(elsewhere, 2)
        await stage.all_delivered()
        assert not await stage.valkey.call("ZCARD", keys.ABANDONED)
    stage.check(elsewhere)
    posts = got + stage.gateway.posts[THIRD]
    for each in (author, other):
        assert [post for post in posts if post in each.written] == each.written
    assert len(posts) == len(author.written) + len(other.written)
    assert stage.gateway.deleted == [FIRST]


async def test_what_nobody_resumes_is_abandoned(stage: Stage, post_under_way: Author) -> None:
    await stage.kill(stage.processes[0])
    async with stage.relay():
        await eventually(lambda: stage.gateway.deleted == [FIRST])
        await stage.all_delivered()
        due = await stage.valkey.call("ZSCORE", keys.ABANDONED, post_under_way.response_id)
        assert 50 < float(due) / 1000 - time.time() < 61
    assert stage.interrupted(FIRST) == post_under_way.written[:-1]


async def test_a_zombie_posts_nothing_more(stage: Stage, unused_tcp_port: int) -> None:
    zombie = await stage.spawn(relay_id=DOOMED, relay_lease_s="1", health_port=str(unused_tcp_port))
    await stage.registered(DOOMED)
    authors = [await stage.open(connection_id) for connection_id in CONNECTIONS]
    await asyncio.gather(*(author.say("one", "two") for author in authors))
    await stage.settled(*authors)
    zombie.send_signal(signal.SIGSTOP)
    async with stage.relay():
        await stage.all_delivered(DOOMED)
        await asyncio.gather(*(author.say("three", "four") for author in authors))
        await stage.settled(*authors)
        zombie.send_signal(signal.SIGCONT)
        await stage.registered(DOOMED)
        await _has_let_go(unused_tcp_port)
        await asyncio.gather(*(write(author, 3) for author in authors))
        await stage.all_delivered()
    stage.check(*authors)
    assert not stage.gateway.deleted


async def test_what_a_zombie_was_offered_reaches_nobody(stage: Stage, unused_tcp_port: int) -> None:
    """When it wakes, it hears of an event that it may post at once; the connection is closed."""
    zombie = await stage.spawn(relay_id=DOOMED, relay_lease_s="1", health_port=str(unused_tcp_port))
    await stage.registered(DOOMED)
    author = await stage.open(FIRST)
    await author.say("one")
    await stage.settled(author)
    zombie.send_signal(signal.SIGSTOP)
    await author.say("two")
    async with stage.relay():
        await eventually(lambda: stage.gateway.deleted == [FIRST])
        zombie.send_signal(signal.SIGCONT)
        await stage.registered(DOOMED)
        await _has_let_go(unused_tcp_port)
        assert stage.interrupted(FIRST) == author.written[:-1]
        first = len(author.written) - 1
        await author.resume(SECOND, first=first)
        await write(author, 3)
        for relay_id in (RELAY, DOOMED):
            await stage.all_delivered(relay_id)
    assert stage.interrupted(FIRST) + stage.gateway.posts[SECOND] == author.written


async def test_a_zombie_with_a_post_under_way_does_no_harm(
    stage: Stage, post_under_way: Author
) -> None:
    """It wakes with a connection that was closed, and whose response goes elsewhere."""
    author = post_under_way
    zombie = stage.processes[0]
    zombie.send_signal(signal.SIGSTOP)
    async with stage.relay():
        await eventually(lambda: stage.gateway.deleted == [FIRST])
        got = stage.interrupted(FIRST)
        await author.resume(SECOND, first=len(got))
        await author.say("three")
        await stage.settled(author)
        zombie.send_signal(signal.SIGCONT)
        await stage.registered(DOOMED)
        await write(author, 3)
        await stage.all_delivered()
    assert stage.gateway.posts[FIRST][:-1] + stage.gateway.posts[SECOND] == author.written
    assert stage.gateway.deleted == [FIRST]


async def test_when_the_adopter_dies_too_a_third_one_goes_on(stage: Stage, doomed: Process) -> None:
    authors = [await stage.open(connection_id) for connection_id in CONNECTIONS]
    await asyncio.gather(*(author.say("one") for author in authors))
    await stage.settled(*authors)
    await stage.kill(doomed)
    await asyncio.gather(*(author.say("two") for author in authors))
    await stage.directory.end_lease(DOOMED)
    await stage.directory.heartbeat("relay-too", lease_s=1)
    taken_over = await stage.directory.take_over(DOOMED, successor_id="relay-too")
    assert len(taken_over) == len(authors)  # and there it ends
    async with stage.relay():
        await stage.settled(*authors)
        await asyncio.gather(*(write(author, 3) for author in authors))
        await stage.all_delivered()
    stage.check(*authors)
    assert not stage.gateway.deleted


async def test_a_restarted_relay_goes_on_with_what_its_former_life_was_feeding(
    stage: Stage,
) -> None:
    former = await stage.spawn()
    await stage.registered()
    author = await stage.open(FIRST)
    await author.say("one")
    await stage.settled(author)
    await stage.kill(former)
    await author.say("two")
    unheard = await stage.open(SECOND)  # its lease is alive still
    async with stage.relay():
        await write(author, 3)
        await write(unheard, 3)
        await stage.all_delivered()
    stage.check(author, unheard)
    assert not stage.gateway.deleted


async def test_a_restarted_relay_delivers_nothing_of_what_it_closes(
    stage: Stage,
) -> None:
    former = await stage.spawn()
    await stage.registered()
    author = await stage.open(FIRST)
    await stage.settled(author)
    stage.gateway.failures[FIRST].append(HANG)
    await author.say("two")
    await eventually(lambda: len(stage.gateway.paths) == 2)
    await stage.kill(former)
    stage.gateway.delay_s = 0.3
    async with stage.relay():
        while not stage.gateway.deleted:
            await author.say("still there? ")
            await asyncio.sleep(0.02)
        await stage.all_delivered()
    assert stage.interrupted(FIRST) == author.written[:1]
    assert len(stage.gateway.paths) == 4  # two posts of the former life, an error, a deletion


async def _has_let_go(health_port: int) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(15):
        while True:
            async with session.get(f"http://127.0.0.1:{health_port}/health") as answer:
                if answer.status == 200 and (await answer.json())["undelivered"] == 0:
                    return
            await asyncio.sleep(0.02)
