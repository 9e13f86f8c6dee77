"""The fault proxy, before a server that answers in capitals, and before Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from local.ports import LOOPBACK, Ports
from local.services.valkey import Valkey
from tests.chaos.proxy import FaultProxy

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _capitals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


@asynccontextmanager
async def started(upstream_port: int, lost: Callable[[], bool]) -> AsyncIterator[FaultProxy]:
    with Ports() as ports:
        proxy = FaultProxy(port=ports.reserve(), upstream_port=upstream_port, lost=lost)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    with Ports() as ports:
        port = ports.reserve()
        server = await asyncio.start_server(_capitals, LOOPBACK, port)
        async with started(port, lambda: False) as proxy:
            yield proxy
        server.close()


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(connection: Connection, text: bytes) -> bytes:
    connection[1].write(text)
    return await connection[0].readline()


async def is_broken(connection: Connection) -> bool:
    try:
        return await connection[0].read() == b""
    except ConnectionError:
        return True


async def test_proxy_passes_data_on(proxy: FaultProxy) -> None:
    async with connected(proxy) as connection:
        assert await ask(connection, b"one\n") == b"ONE\n"
        assert await ask(connection, b"two\n") == b"TWO\n"
        assert proxy.links == 1


async def test_proxy_ends_both_sides_together(proxy: FaultProxy) -> None:
    async with connected(proxy) as connection:
        await ask(connection, b"one\n")
        connection[1].write_eof()
        assert await is_broken(connection)


async def test_proxy_cut_breaks_open_connections_and_serves_new_ones(proxy: FaultProxy) -> None:
    async with connected(proxy) as connection:
        await ask(connection, b"one\n")
        proxy.cut()
        assert await is_broken(connection)
    async with connected(proxy) as connection:
        assert await ask(connection, b"two\n") == b"TWO\n"


async def test_proxy_refuses_until_it_is_healed(proxy: FaultProxy) -> None:
    proxy.refuse()
    async with connected(proxy) as connection:
        assert await is_broken(connection)
    proxy.heal()
    async with connected(proxy) as connection:
        assert await ask(connection, b"one\n") == b"ONE\n"


async def test_proxy_stall_holds_back_and_loses_nothing(proxy: FaultProxy) -> None:
    async with connected(proxy) as connection:
        await ask(connection, b"one\n")
        proxy.stall()
        connection[1].write(b"two\n")
        answer = asyncio.create_task(connection[0].readline())
        done, _ = await asyncio.wait([answer], timeout=0.2)
        assert not done
        proxy.heal()
        assert await answer == b"TWO\n"


async def _messages(subscriber: PubSub) -> list[bytes]:
    """Return what comes before `end`."""
    found: list[bytes] = []
    while found[-1:] != [b"end"]:
        message = await subscriber.get_message(ignore_subscribe_messages=True, timeout=5)
        if message is not None:
            found.append(message["data"])
    return found[:-1]


async def test_proxy_loses_whole_messages_to_relays_and_no_others(valkey_server: Valkey) -> None:
    turns = iter(range(1000))
    async with (
        started(valkey_server.port, lambda: next(turns) % 3 == 0) as proxy,
        Redis.from_url(valkey_server.url) as valkey,
        Redis(host=LOOPBACK, port=proxy.port) as through,
        through.pubsub() as subscriber,
    ):
        await subscriber.subscribe("axon:relay:a", "other")
        # Larger than what is read at once.
        sent = [bytes([65 + number]) * 40_000 + b"\r\n$3" for number in range(9)]
        for text in sent:
            await valkey.publish("axon:relay:a", text)
            await valkey.publish("other", text)
        await valkey.publish("other", "end")
        received = await _messages(subscriber)
    kept = [text for number, text in enumerate(sent) if number % 3]
    assert [received.count(text) for text in sent] == [1 + (text in kept) for text in sent]
