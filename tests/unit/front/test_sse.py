import asyncio
import socket

import pytest
from aiohttp import web

from front import sse
from front.routing import Call
from front.slow_readers import BUFFER_BYTES
from tests.support.eventually import eventually
from tests.unit.front.front_harness import KEY, FrontHarness
from tests.unit.front.unread_harness import served, unread


async def test_event_stream_sends_comments_while_nothing_comes(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "COMMENT_S", 0.02)
    answer, response_id = await harness.stream()
    text = await answer.content.readuntil(b": keep-alive\n\n: keep-alive\n\n")
    assert text.startswith(b"event: response.created\n")
    await harness.responses.answer(response_id, "Hello")
    assert (await answer.read()).endswith(b"\n\n")


async def test_event_stream_joins_the_events_that_are_ready(harness: FrontHarness) -> None:
    created, response_id = await harness.stream()
    await harness.responses.answer(response_id, *["word "] * 50)
    await created.read()
    reader, writer = await _raw(harness, f"GET /v1/responses/{response_id}?stream=true HTTP/1.1")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    size = int((await reader.readline()).strip(), 16)
    chunk = await reader.readexactly(size + 2)
    assert chunk.count(b"\n\nevent: ") > 50
    assert (await reader.readexactly(5)) == b"0\r\n\r\n"
    writer.close()


async def test_event_stream_for_http_1_0_has_no_chunks(harness: FrontHarness) -> None:
    created, response_id = await harness.stream()
    await harness.responses.answer(response_id, "Hello")
    events = await created.read()
    reader, writer = await _raw(harness, f"GET /v1/responses/{response_id}?stream=true HTTP/1.0")
    assert (await reader.read()).partition(b"\r\n\r\n")[2] == events
    writer.close()


async def test_event_stream_disconnects_a_client_that_does_not_read(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "COMMENT_S", 0.02)
    monkeypatch.setattr(sse, "STALLED_S", 0.1)
    created, response_id = await harness.stream()
    attempt = await harness.responses.say(response_id, *["word " * 2_000] * 60)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", int(harness.url.rpartition(":")[2])))
    raw.sendall(_request(f"GET /v1/responses/{response_id}?stream=true HTTP/1.1"))
    await eventually(lambda: harness.context.requests.count == 2)
    await eventually(lambda: harness.context.requests.count == 1)
    raw.close()
    await attempt.complete()  # who reads gets everything
    assert (await created.read()).count(b"event: response.output_text.delta") == 60


@pytest.mark.parametrize("reads", [False, True])
async def test_event_stream_ends_in_time_and_without_comments_after_the_last_chunk(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    monkeypatch.setattr(sse, "COMMENT_S", 0.02)
    monkeypatch.setattr(sse, "STALLED_S", 10.0 if reads else 0.1)
    ended: list[BaseException | None] = []

    async def endpoint(call: Call) -> web.StreamResponse:
        try:
            async with sse.EventStream(call.request, error=repr) as stream:  # type: ignore[arg-type]
                transport = call.request.transport
                assert transport is not None
                # So much that the end has to wait, though none of the writes has.
                while transport.get_write_buffer_size() < BUFFER_BYTES - 12_000:
                    transport.write(b"2710\r\n%b\r\n" % (b"x" * 10_000))
                await stream.write(b"y" * 40_000)
        except BaseException as error:
            ended.append(error)
            raise
        ended.append(None)
        return stream.response

    async with served(harness, endpoint) as port:
        with unread(port) as raw:
            await asyncio.sleep(0.1)  # some comments
            if not reads:
                await eventually(lambda: ended)
                await eventually(lambda: harness.context.requests.count == 0)
                assert isinstance(ended[0], ConnectionResetError)
                return
            raw.setblocking(False)
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                received += await asyncio.get_running_loop().sock_recv(raw, 65_536)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(raw, 100), 0.1)
            assert ended == [None]


async def _raw(
    harness: FrontHarness, line: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.url.rpartition(":")[2])
    writer.write(_request(line))
    return reader, writer


def _request(line: str) -> bytes:
    return f"{line}\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
