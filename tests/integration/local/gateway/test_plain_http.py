"""Plain HTTP on the clients' port: forwarded to the front, in both directions, as it comes."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from local.gateway.config import GatewayConfig
from local.gateway.plain_http import Forwarder
from local.gateway.server import Gateway

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
TIMEOUT_S = 20


@dataclass
class FrontHarness:
    """A front that the test plays itself: the next connection that it got."""

    port: int
    connections: "asyncio.Queue[Streams]"

    async def accept(self) -> Streams:
        return await asyncio.wait_for(self.connections.get(), TIMEOUT_S)


@asynccontextmanager
async def listening_front(port: int = 0) -> AsyncIterator[FrontHarness]:
    connections: asyncio.Queue[Streams] = asyncio.Queue()
    opened: list[asyncio.StreamWriter] = []

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        connections.put_nowait((reader, writer))

    server = await asyncio.start_server(on_connection, "127.0.0.1", port)
    try:
        yield FrontHarness(server.sockets[0].getsockname()[1], connections)
    finally:
        for writer in opened:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def gateway_before(front_port: int, **changes: float) -> AsyncIterator[int]:
    config = GatewayConfig(
        port=0,
        management_port=0,
        front_port=front_port,
        lambda_endpoint="http://127.0.0.1:9",
        routes={},
        **changes,
    )
    gateway = Gateway(config=config)
    port, _ = await gateway.start()
    try:
        yield port
    finally:
        async with asyncio.timeout(2):
            await gateway.stop()


@pytest.fixture
async def front() -> AsyncIterator[FrontHarness]:
    async with listening_front() as front:
        yield front


@pytest.fixture
async def port(front: FrontHarness) -> AsyncIterator[int]:
    async with gateway_before(front.port) as port:
        yield port


async def exactly(reader: asyncio.StreamReader, expected: bytes) -> None:
    assert await asyncio.wait_for(reader.readexactly(len(expected)), TIMEOUT_S) == expected


async def joined(front: FrontHarness, port: int) -> tuple[Streams, Streams]:
    """Return a client's connection and the front's, after the head of a request."""
    client = await asyncio.open_connection("127.0.0.1", port)
    client[1].write(HEAD)
    accepted = await front.accept()
    await exactly(accepted[0], HEAD)
    return client, accepted


async def test_plain_http_passes_at_once_in_both_directions(front: FrontHarness, port: int) -> None:
    (reader, writer), (front_reader, front_writer) = await joined(front, port)
    # Each part is awaited before the next one is sent: nothing may gather them.
    for part in (b"01234", b"56789"):
        writer.write(part)
        await exactly(front_reader, part)
    for part in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\none\r\n"):
        front_writer.write(part)
        await exactly(reader, part)
    # The connection stays with the front for the client's next request.
    front_writer.write(b"0\r\n\r\n")
    await exactly(reader, b"0\r\n\r\n")
    writer.write(b"GET /v1/models HTTP/1.1\r\n\r\n")
    await exactly(front_reader, b"GET /v1/models HTTP/1.1\r\n\r\n")
    writer.transport.abort()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        # Java's client offers HTTP/2 in each request.
        b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        b"DELETE /v1/responses/resp_1 HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nPadding: " + 70_000 * b"p",
    ],
)
async def test_plain_http_is_forwarded_as_it_was_sent(
    front: FrontHarness, port: int, request_bytes: bytes
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for start in range(0, len(request_bytes), 40_000):
        writer.write(request_bytes[start : start + 40_000])
    reader, _ = await front.accept()
    await exactly(reader, request_bytes)
    writer.transport.abort()


CONTENT = bytes(range(256)) * 4096 * 32
"""32 MB: more than all buffers of the path, the kernel's included."""


class TransportStub(asyncio.Transport):
    """A client's connection on which nothing comes."""

    _reading = True

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self._reading = False


async def read_slowly(reader: asyncio.StreamReader, sender: asyncio.StreamWriter) -> None:
    """Send and read all of `CONTENT`; fail if most of it does not wait at its sender."""
    sender.write(CONTENT)
    received = await asyncio.wait_for(reader.readexactly(2**20), TIMEOUT_S)
    assert sender.transport.get_write_buffer_size() > len(CONTENT) // 4
    received += await asyncio.wait_for(reader.readexactly(len(CONTENT) - 2**20), TIMEOUT_S)
    assert received == CONTENT


async def test_plain_http_waits_for_a_client_that_reads_slowly(
    front: FrontHarness, port: int
) -> None:
    (reader, writer), (_, front_writer) = await joined(front, port)
    await read_slowly(reader, front_writer)
    writer.transport.abort()


async def test_plain_http_waits_for_a_front_that_does_not_read_the_first_bytes(
    front: FrontHarness,
) -> None:
    """The first bytes are written when the front is connected, and may fill its connection."""
    forwarder = Forwarder(port=front.port, retry_s=1)
    client = TransportStub()
    forwarder.forward(client, CONTENT)
    front_reader, _ = await front.accept()
    await exactly(front_reader, CONTENT[:1000])
    assert not client.is_reading()
    await exactly(front_reader, CONTENT[1000:])
    assert client.is_reading()
    forwarder.close()


async def test_plain_http_waits_for_a_front_that_reads_slowly(
    front: FrontHarness, port: int
) -> None:
    (_, writer), (front_reader, _) = await joined(front, port)
    await read_slowly(front_reader, writer)
    writer.transport.abort()


def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("leave", [close, reset])
async def test_front_notices_at_once_that_a_client_has_left(
    front: FrontHarness, port: int, leave: Callable[[asyncio.StreamWriter], None]
) -> None:
    (_, writer), (front_reader, front_writer) = await joined(front, port)
    front_writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
    leave(writer)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(front_reader.read(), TIMEOUT_S) == b""


async def test_client_may_end_its_request_by_closing_one_direction(
    front: FrontHarness, port: int
) -> None:
    (reader, writer), (front_reader, front_writer) = await joined(front, port)
    writer.write_eof()
    assert await asyncio.wait_for(front_reader.read(), TIMEOUT_S) == b""
    front_writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    front_writer.close()
    assert await asyncio.wait_for(reader.read(), TIMEOUT_S) == b"HTTP/1.1 200 OK\r\n\r\n"
    writer.close()


async def test_client_gets_what_came_before_the_front_died(front: FrontHarness, port: int) -> None:
    (reader, writer), (_, front_writer) = await joined(front, port)
    front_writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
    await exactly(reader, b"HTTP/1.1 200 OK\r\n\r\nsome")
    reset(front_writer)
    assert await asyncio.wait_for(reader.read(), TIMEOUT_S) == b""
    writer.close()


async def test_request_waits_for_a_front_that_is_being_restarted() -> None:
    async with listening_front() as front:
        front_port = front.port
    async with gateway_before(front_port) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        async with listening_front(front_port) as front:
            front_reader, front_writer = await front.accept()
            await exactly(front_reader, HEAD)
            front_writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await exactly(reader, b"HTTP/1.1 200 OK\r\n\r\n")
            writer.transport.abort()


async def test_request_without_a_front_is_refused_as_sdks_understand() -> None:
    async with listening_front() as front:
        front_port = front.port
    async with gateway_before(front_port, front_retry_s=0.01) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"x" * 2**20)
        answer = await asyncio.wait_for(reader.read(), TIMEOUT_S)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 1\r\n" in head
        assert json.loads(body)["error"]["code"] == "server_unavailable"
        writer.close()


async def test_gateway_stops_though_clients_are_connected(front: FrontHarness) -> None:
    started = asyncio.Event()

    async def until_closed(
        send: Callable[[asyncio.StreamWriter], Awaitable[None]], port: int
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await send(writer)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    async def part_of_a_head(writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /v1")

    async def whole(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await front.accept()
        started.set()

    async with gateway_before(front.port) as port:
        clients = [
            asyncio.create_task(until_closed(send, port)) for send in (part_of_a_head, whole)
        ]
        await started.wait()
        assert not any(client.done() for client in clients)
    await asyncio.wait_for(asyncio.gather(*clients), TIMEOUT_S)
