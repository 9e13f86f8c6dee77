import asyncio
import random
import signal
import time
from collections.abc import Callable

import aiohttp
import redis.asyncio

from axon.adapters.valkey import keys
from axon.event_log.log import Status
from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, RelayHarness, write
from tests.support.eventually import eventually
from tests.unit.axon.adapters.aws.gateway_stub import HANG_UP
from tests.unit.relay.log_author_stub import Author


async def test_relay_delivers_many_responses_exactly(harness: RelayHarness) -> None:
    async with harness.relay():
        authors = [await harness.open(c) for c in CONNECTIONS for _ in range(3)]
        await asyncio.gather(*(write(author, 20) for author in authors))
        await harness.all_delivered()
    harness.check(*authors)
    assert not harness.gateway.deleted


async def test_relay_loses_nothing_with_its_subscription(harness: RelayHarness) -> None:
    async with harness.relay():
        authors = [await harness.open(c) for c in CONNECTIONS]
        writing = asyncio.gather(*(write(author, 60, pause_s=0.005) for author in authors))
        killed = 0
        while not writing.done():
            await asyncio.sleep(0.05)
            killed += await harness.valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
        assert killed > 2
        await writing
        await harness.all_delivered()
    harness.check(*authors)


async def test_relay_reads_lost_publications_from_the_log(harness: RelayHarness) -> None:
    async with harness.relay():
        first = await Author.open(harness.silent_log, CONNECTIONS[0])  # not a word of it
        last = await Author.open(harness.log, CONNECTIONS[1])
        last._log = harness.silent_log  # all but the first word
        await asyncio.gather(write(first, 3), write(last, 3))
        await harness.all_delivered()
    harness.check(first, last)


async def test_relay_keeps_the_order_despite_throttling_and_faults(harness: RelayHarness) -> None:
    chance = random.Random(1)
    for connection_id in CONNECTIONS:
        answers = chance.choices([200, 200, 200, 429, 500, 503], k=40)
        harness.gateway.failures[connection_id].extend(answers)
    async with harness.relay():
        authors = [await harness.open(c) for c in CONNECTIONS for _ in range(2)]
        await asyncio.gather(*(write(author, 8) for author in authors))
        await harness.all_delivered()
    harness.check(*authors)


async def test_relay_frees_the_worker_of_a_gone_client(harness: RelayHarness) -> None:
    harness.gateway.gone.add(CONNECTIONS[0])
    async with harness.relay(resume_window_s="1"):
        gone, there = await harness.open(CONNECTIONS[0]), await harness.open(CONNECTIONS[1])
        await harness.reaches(gone, Status.CANCELLED)
        await write(there, 3)
        await harness.all_delivered()
    harness.check(there)
    assert not harness.gateway.posts[CONNECTIONS[0]]


async def test_relay_disconnects_a_client_with_a_post_in_doubt(harness: RelayHarness) -> None:
    harness.gateway.failures[CONNECTIONS[0]].extend([200, HANG_UP])
    async with harness.relay():
        author = await harness.open(CONNECTIONS[0])
        await author.say("one", "two")
        await eventually(lambda: harness.gateway.deleted == [CONNECTIONS[0]])
        await harness.all_delivered()
    assert harness.interrupted(CONNECTIONS[0]) == author.written[:1]


async def test_relay_passes_a_large_backlog_to_a_slow_connection(harness: RelayHarness) -> None:
    """More than a delivery keeps in memory: the rest comes from the log, in pieces."""
    async with harness.relay():
        harness.gateway.delay_s = 0.002
        author = await harness.open(CONNECTIONS[0])
        await author.say(*("x" * 3000 for _ in range(38)))
        await author.complete()
        await harness.all_delivered()
    harness.check(author)


async def test_relay_ends_on_sigterm_before_valkey_is_reachable(harness: RelayHarness) -> None:
    process = await harness.spawn(valkey_url="redis://127.0.0.1:1/0", health_port="0")
    await asyncio.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() in (0, -signal.SIGTERM)


async def test_relay_health_follows_the_subscription(
    harness: RelayHarness, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/health"

    async def healthy(session: aiohttp.ClientSession, status: int) -> dict[str, object]:
        async with asyncio.timeout(10):
            while True:
                async with session.get(url) as answer:
                    if answer.status == status:
                        body: dict[str, object] = await answer.json()
                        return body
                await asyncio.sleep(0.02)

    async with harness.relay(health_port=str(unused_tcp_port)), aiohttp.ClientSession() as session:
        assert await healthy(session, 200) == {
            "status": "ok",
            "relay_id": RELAY,
            "undelivered": 0,
        }
        await harness.valkey.call("CLIENT", "PAUSE", 4500, "ALL")
        assert await healthy(session, 503) == {"status": "unavailable"}
        await healthy(session, 200)


async def test_relay_serves_health_and_metrics_on_its_port(
    harness: RelayHarness, unused_tcp_port_factory: Callable[[], int]
) -> None:
    port = unused_tcp_port_factory()
    url = f"http://127.0.0.1:{port}"

    async def get(url: str) -> tuple[int, str]:
        async with session.get(url) as answer:
            return answer.status, await answer.text()

    async def told(lines: set[str]) -> None:
        async with asyncio.timeout(10):
            while not lines <= set((await get(f"{url}/metrics"))[1].splitlines()):
                await asyncio.sleep(0.02)

    async with aiohttp.ClientSession() as session:
        async with harness.relay(health_port=str(port)):
            first, second = [await harness.open(CONNECTIONS[n]) for n in range(2)]
            await write(first, 3)
            harness.gateway.failures[CONNECTIONS[1]].append(429)
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
            assert (await get(f"{url}/health"))[0] == 200
            await second.complete()
            await harness.all_delivered()
            began = time.monotonic()  # the session keeps its connections open
        assert time.monotonic() - began < 5
    harness.check(first, second)


async def test_relay_fails_overdue_responses(harness: RelayHarness) -> None:
    async with harness.relay():
        author = await harness.open(CONNECTIONS[0])
        await harness.valkey.call("HSET", keys.response(author.response_id), "opened_ms", 1)
        await harness.valkey.call("ZADD", keys.DEADLINES, 1, author.response_id)
        await harness.reaches(author, Status.FAILED)
        await harness.all_delivered()
    last = harness.gateway.posts[CONNECTIONS[0]][-1]
    assert last.startswith(b'{"type":"response.failed"')


async def test_relay_ignores_strangers_on_its_channel(harness: RelayHarness) -> None:
    async with harness.relay():
        async with redis.asyncio.Redis(
            connection_pool=harness.valkey.redis.connection_pool
        ) as other:
            await other.publish(keys.relay_channel(RELAY), b"hello")
        author = await harness.open(CONNECTIONS[0])
        await write(author, 3)
        await harness.all_delivered()
    harness.check(author)
