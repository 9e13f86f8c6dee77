import asyncio
import random
import signal
import time
from collections.abc import Callable

import aiohttp
import redis.asyncio

from axon.adapters.valkey import keys
from axon.event_log.log import Status
from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, Stage, write
from tests.support.eventually import eventually
from tests.unit.axon.adapters.aws.strict_gateway import HANG_UP
from tests.unit.relay.log_author import Author


async def test_delivers_many_responses_exactly(stage: Stage) -> None:
    async with stage.relay():
        authors = [await stage.open(c) for c in CONNECTIONS for _ in range(3)]
        await asyncio.gather(*(write(author, 20) for author in authors))
        await stage.all_delivered()
    stage.check(*authors)
    assert not stage.gateway.deleted


async def test_losing_the_subscription_loses_nothing(stage: Stage) -> None:
    async with stage.relay():
        authors = [await stage.open(c) for c in CONNECTIONS]
        writing = asyncio.gather(*(write(author, 60, pause_s=0.005) for author in authors))
        killed = 0
        while not writing.done():
            await asyncio.sleep(0.05)
            killed += await stage.valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
        assert killed > 2
        await writing
        await stage.all_delivered()
    stage.check(*authors)


async def test_publications_that_nobody_heard_are_read_from_the_log(stage: Stage) -> None:
    async with stage.relay():
        first = await Author.open(stage.silent_log, CONNECTIONS[0])  # not a word of it
        last = await Author.open(stage.log, CONNECTIONS[1])
        last._log = stage.silent_log  # all but the first word
        await asyncio.gather(write(first, 3), write(last, 3))
        await stage.all_delivered()
    stage.check(first, last)


async def test_throttling_and_faults_keep_the_order(stage: Stage) -> None:
    chance = random.Random(1)
    for connection_id in CONNECTIONS:
        answers = chance.choices([200, 200, 200, 429, 500, 503], k=40)
        stage.gateway.failures[connection_id].extend(answers)
    async with stage.relay():
        authors = [await stage.open(c) for c in CONNECTIONS for _ in range(2)]
        await asyncio.gather(*(write(author, 8) for author in authors))
        await stage.all_delivered()
    stage.check(*authors)


async def test_a_gone_client_frees_its_worker(stage: Stage) -> None:
    stage.gateway.gone.add(CONNECTIONS[0])
    async with stage.relay(resume_window_s="1"):
        gone, there = await stage.open(CONNECTIONS[0]), await stage.open(CONNECTIONS[1])
        await stage.reaches(gone, Status.CANCELLED)
        await write(there, 3)
        await stage.all_delivered()
    stage.check(there)
    assert not stage.gateway.posts[CONNECTIONS[0]]


async def test_an_uncertain_post_ends_in_a_disconnect(stage: Stage) -> None:
    stage.gateway.failures[CONNECTIONS[0]].extend([200, HANG_UP])
    async with stage.relay():
        author = await stage.open(CONNECTIONS[0])
        await author.say("one", "two")
        await eventually(lambda: stage.gateway.deleted == [CONNECTIONS[0]])
        await stage.all_delivered()
    assert stage.interrupted(CONNECTIONS[0]) == author.written[:1]


async def test_a_large_backlog_passes_a_slow_connection(stage: Stage) -> None:
    """More than a delivery keeps in memory: the rest comes from the log, in pieces."""
    async with stage.relay():
        stage.gateway.delay_s = 0.002
        author = await stage.open(CONNECTIONS[0])
        await author.say(*("x" * 3000 for _ in range(38)))
        await author.complete()
        await stage.all_delivered()
    stage.check(author)


async def test_sigterm_before_valkey_is_there(stage: Stage) -> None:
    process = await stage.spawn(valkey_url="redis://127.0.0.1:1/0", health_port="0")
    await asyncio.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() in (0, -signal.SIGTERM)


async def test_health_follows_the_subscription(stage: Stage, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/health"

    async def healthy(session: aiohttp.ClientSession, status: int) -> dict[str, object]:
        async with asyncio.timeout(10):
            while True:
                async with session.get(url) as answer:
                    if answer.status == status:
                        body: dict[str, object] = await answer.json()
                        return body
                await asyncio.sleep(0.02)

    async with stage.relay(health_port=str(unused_tcp_port)), aiohttp.ClientSession() as session:
        assert await healthy(session, 200) == {
            "status": "ok",
            "relay_id": RELAY,
            "undelivered": 0,
        }
        await stage.valkey.call("CLIENT", "PAUSE", 4500, "ALL")
        assert await healthy(session, 503) == {"status": "unavailable"}
        await healthy(session, 200)


async def test_what_the_ports_tell(
    stage: Stage, unused_tcp_port_factory: Callable[[], int]
) -> None:
    inside, outside = (f"http://127.0.0.1:{unused_tcp_port_factory()}" for _ in range(2))

    async def get(url: str) -> tuple[int, str]:
        async with session.get(url) as answer:
            return answer.status, await answer.text()

    async def told(lines: set[str]) -> None:
        async with asyncio.timeout(10):
            while not lines <= set((await get(f"{inside}/metrics"))[1].splitlines()):
                await asyncio.sleep(0.02)

    ports = {"health_port": inside.rpartition(":")[2], "http_port": outside.rpartition(":")[2]}
    async with aiohttp.ClientSession() as session:
        async with stage.relay(**ports):
            first, second = [await stage.open(CONNECTIONS[n]) for n in range(2)]
            await write(first, 3)
            stage.gateway.failures[CONNECTIONS[1]].append(429)
            await second.say("more")
            written = len(first.written) + len(second.written)
            await told(
                {
                    f'axon_relay_posts_total{{outcome="delivered"}} {written}.0',
                    'axon_relay_posts_total{outcome="throttled"} 1.0',
                    'axon_relay_posts_total{outcome="gone"} 0.0',
                    f"axon_relay_lag_seconds_count {written}.0",
                    "axon_relay_connections 1.0",
                    "axon_relay_responses 1.0",
                }
            )
            assert (await get(f"{outside}/health"))[0] == 200
            assert (await get(f"{outside}/metrics"))[0] == 404
            await second.complete()
            await stage.all_delivered()
            began = time.monotonic()  # the session keeps its connections open
        assert time.monotonic() - began < 5
    stage.check(first, second)


async def test_overdue_responses_are_failed(stage: Stage) -> None:
    async with stage.relay():
        author = await stage.open(CONNECTIONS[0])
        await stage.valkey.call("ZADD", keys.DEADLINES, 1, author.response_id)
        await stage.reaches(author, Status.FAILED)
        await stage.all_delivered()
    last = stage.gateway.posts[CONNECTIONS[0]][-1]
    assert last.startswith(b'{"type":"response.failed"')


async def test_strangers_on_the_channel_do_no_harm(stage: Stage) -> None:
    async with stage.relay():
        async with redis.asyncio.Redis(connection_pool=stage.valkey.redis.connection_pool) as other:
            await other.publish(keys.relay_channel(RELAY), b"hello")
        author = await stage.open(CONNECTIONS[0])
        await write(author, 3)
        await stage.all_delivered()
    stage.check(author)
