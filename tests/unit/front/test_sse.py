import asyncio
import socket

import pytest

from front import sse
from tests.support.eventually import eventually
from tests.unit.front.front_harness import KEY, FrontHarness


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


async def _raw(
    harness: FrontHarness, line: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.url.rpartition(":")[2])
    writer.write(_request(line))
    return reader, writer


def _request(line: str) -> bytes:
    return f"{line}\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
