import asyncio
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from axon.event_log.attendance import leaving_window_s
from axon.event_log.log import Status
from axon.serialization import dumps, loads
from front.slow_readers import BUFFER_BYTES
from front.socket import arriving, connection
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import HELD_BYTES, KEY, MAX_BODY_BYTES, FrontHarness

PATH = "/v1/responses"
HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
).encode()
TEXT, BINARY, CONTINUATION, PING = 1, 2, 0, 9
MASK = b"\0\0\0\0"
"""Leaves a frame's content as it is."""


def frame(opcode: int, data: bytes, *, last: bool = True, compressed: bool = False) -> bytes:
    """Return a client's frame."""
    first = opcode | last << 7 | compressed << 6
    if len(data) < 126:
        return bytes([first, 128 | len(data)]) + MASK + data
    return bytes([first, 255]) + len(data).to_bytes(8, "big") + MASK + data


@asynccontextmanager
async def raw(
    harness: FrontHarness, *, also: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a socket, to write frames to it; vanish at the end."""
    before = harness.context.requests.count
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.url.rpartition(":")[2])
    writer.write(HANDSHAKE + also)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    assert b"permessage" not in head
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
        await eventually(lambda: harness.context.requests.count <= before)


async def received(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return opcode and data of the next frame of the server."""
    first, length = await reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    return first & 15, await reader.readexactly(length)


def padded(length: int) -> bytes:
    """Return a message of this length that is refused for its type."""
    return b'{"type":"' + b"x" * (length - 11) + b'"}'


async def test_connection_takes_a_message_as_long_as_a_body_in_one_frame(
    harness: FrontHarness,
) -> None:
    async with harness.client.ws_connect(PATH) as opened:
        await opened.send_str(padded(MAX_BODY_BYTES).decode())
        assert loads(await opened.receive_str())["error"]["code"] == "unknown_event_type"
        await opened.send_str(padded(MAX_BODY_BYTES + 1).decode())
        message = await opened.receive()
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
    assert message.extra == "A message may have 100,000 bytes at most."


async def test_connection_says_why_it_closes_while_a_message_still_arrives(
    harness: FrontHarness,
) -> None:
    async with raw(harness) as (reader, writer):
        writer.write(frame(TEXT, padded(MAX_BODY_BYTES + 1))[:10])
        opcode, data = await received(reader)
        assert (opcode, int.from_bytes(data[:2], "big")) == (8, 1009)
        writer.write(b"x" * 1_000_000)  # what was under way
        await writer.drain()


async def test_connections_hold_a_bounded_number_of_bytes_that_arrive(
    harness: FrontHarness,
) -> None:
    part = frame(TEXT, padded(90_000))
    async with raw(harness) as (_, first), raw(harness) as (reader, second):
        # As much as the process holds at most, without an end, and some with the handshake.
        first.write(part[:-1])
        await eventually(lambda: harness.context.bodies.held_of_sockets.count >= 89_000)
        second.write(part[:-1])
        opcode, data = await received(reader)
        assert (opcode, int.from_bytes(data[:2], "big")) == (8, 1013)
        # HTTP has a room of its own, which sockets cannot take.
        async with await harness.post(input="x" * 90_000, max_output_tokens=-1) as answer:
            assert answer.status == 400
    assert harness.context.bodies.held_of_sockets.count == 0


@pytest.mark.parametrize(("length", "code"), [(MAX_BODY_BYTES + 1, 1009), (90_000, 1013)])
async def test_connection_that_refuses_a_message_cancels_nothing(
    harness: FrontHarness, length: int, code: int
) -> None:
    """The client closes its side as soon as it reads the close frame."""
    async with harness.client.ws_connect(PATH) as opened:
        create = {"type": "response.create", "model": MODEL, "input": "hello"}
        await opened.send_json(create | {"cancel_on_disconnect": True})
        response_id = await harness.submitted()
        harness.context.bodies.held_of_sockets.hold(HELD_BYTES - 80_000, tenant_id="other")
        await opened.send_str(padded(length).decode())
        async for _ in opened:  # the events of the response
            pass
        assert opened.close_code == code
    await eventually(lambda: not harness.context.requests.count)
    await harness.reader.drain()
    assert await harness.responses.status(response_id) is Status.QUEUED
    harness.responses.now += leaving_window_s()
    assert await harness.responses.valkey.abandoned() == []


async def test_connection_whose_message_takes_too_long_is_closed(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "BODY_S", 0.01)
    async with raw(harness) as (reader, writer):
        writer.write(frame(TEXT, padded(90_000))[:-1])
        opcode, data = await received(reader)
        assert (opcode, int.from_bytes(data[:2], "big")) == (8, 1013)
        assert data[2:].startswith(b"A message did not arrive within 60 seconds.")
    assert harness.context.bodies.held_of_sockets.count == 0


async def test_connection_counts_what_came_with_its_handshake(harness: FrontHarness) -> None:
    part = frame(TEXT, padded(90_000))
    async with raw(harness, also=part[:-1]) as (reader, writer):
        await eventually(lambda: harness.context.bodies.held_of_sockets.count == 89_999)
        writer.write(part[-1:])
        _, answer = await received(reader)
        assert loads(answer)["error"]["code"] == "unknown_event_type"
        assert harness.context.bodies.held_of_sockets.count == 0


async def test_connection_joins_the_fragments_of_a_message(harness: FrontHarness) -> None:
    message = dumps({"type": "response.nothing", "stream_id": "ü"})
    async with raw(harness) as (reader, writer):
        # Also in the middle of a character, and with a ping between.
        half = message.index("ü".encode()) + 1
        writer.write(frame(TEXT, message[:half], last=False))
        writer.write(frame(PING, b"?"))
        writer.write(frame(CONTINUATION, message[half:]))
        assert await received(reader) == (10, b"?")
        _, answer = await received(reader)
        assert loads(answer)["stream_id"] == "ü"
        for _ in range(MAX_BODY_BYTES // 20_000 + 1):  # fragments are counted together
            writer.write(frame(CONTINUATION if _ else TEXT, b" " * 20_000, last=False))
        _, close = await received(reader)
        assert int.from_bytes(close[:2], "big") == 1009


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(BINARY, b"{}"), 1003),
        (frame(CONTINUATION, b"{}"), 1002),
        (frame(3, b"{}"), 1002),
        (frame(TEXT, zlib.compress(b"x" * 1_000_000), compressed=True), 1002),
        (frame(TEXT, b"x", last=False) + frame(TEXT, b"y"), 1002),
        (frame(PING, b"x", last=False), 1002),
    ],
)
async def test_connection_closes_for_what_the_protocol_does_not_allow(
    harness: FrontHarness, frames: bytes, code: int
) -> None:
    async with raw(harness) as (reader, writer):
        writer.write(frames)
        opcode, data = await received(reader)
        assert (opcode, int.from_bytes(data[:2], "big")) == (8, code)


async def test_connection_answers_text_that_is_no_utf_8(harness: FrontHarness) -> None:
    async with raw(harness) as (reader, writer):
        writer.write(frame(TEXT, b'{"type":"\xff"}'))
        _, answer = await received(reader)
        assert loads(answer)["error"]["code"] == "invalid_json"


async def test_connection_of_a_client_that_pings_and_does_not_read_ends(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.1)
    monkeypatch.setattr(connection, "CLOSE_S", 0.1)
    async with raw(harness) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        (opened,) = harness.context.requests.of(a_principal().key_id)
        transport = opened.request.transport
        assert transport is not None
        pings = frame(PING, b"x" * 125) * 1000
        while harness.context.requests.count:
            assert transport.get_write_buffer_size() < 2 * BUFFER_BYTES
            writer.write(pings)
            await asyncio.sleep(0.002)


async def test_connection_of_a_client_that_does_not_read_ends_and_can_be_resumed(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.1)
    monkeypatch.setattr(connection, "CLOSE_S", 0.1)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(harness.url.rpartition(":")[2])))
        create: dict[str, Any] = {"type": "response.create", "model": MODEL, "input": "hello"}
        client.sendall(HANDSHAKE + frame(TEXT, dumps(create | {"cancel_on_disconnect": True})))
        response_id = await harness.submitted()
        attempt = await harness.responses.say(response_id, *["word " * 2_000] * 60)
        await eventually(lambda: not harness.context.requests.count)
    await attempt.complete()  # nothing was cancelled
    async with harness.client.ws_connect(PATH) as opened:
        await opened.send_json({"type": "response.resume", "response_id": response_id})
        logged = await harness.responses.valkey.read(response_id)
        assert [(await opened.receive_str()).encode() for _ in logged] == [
            event.data for event in logged
        ]
