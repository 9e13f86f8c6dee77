"""Ends of an upstream's stream, by HTTP's framing: its own end, or a break."""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence

import pytest

from axon.serialization import dumps
from tests.support.stream_server import stream_server
from tests.support.virtual_time import now, run
from tests.unit.worker.engines.openai.stream_samples import REQUEST, STOP, delta
from tests.unit.worker.engines.openai.transport_stub import Reply, stubbed
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import EngineError, TokenChunk, UnusableAnswerError

A, B = (b"data: " + dumps(delta(text)) + b"\n\n" for text in "ab")
END = b"data: " + dumps(STOP) + b"\n\n"
DONE = b"data: [DONE]\n\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body) if body else b""


def cut(body: bytes) -> bytes:
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(body)


def chunked(body: bytes) -> bytes:
    return cut(body) + b"0\r\n\r\n"


def half_terminated(body: bytes) -> bytes:
    return cut(body) + b"0\r\n"


def sized(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


def short(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body


def closed(body: bytes) -> bytes:
    return OK + b"\r\n" + body


def closed_1_0(body: bytes) -> bytes:
    return closed(body).replace(b"HTTP/1.1", b"HTTP/1.0")


FRAMED = pytest.mark.parametrize("framed", [chunked, sized])
BROKEN = pytest.mark.parametrize("broken", [cut, half_terminated, short, closed, closed_1_0])
Framing = Callable[[bytes], bytes]


async def outcome(*responses: bytes) -> tuple[str, EngineError | None, int]:
    """Return the text, the failure and the number of generations that an answer cost."""
    left = list(responses)
    listing = sized(dumps({"data": [{"id": REQUEST.model}]}))

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        # A close with unread bytes would reset the connection, and the client lose the response.
        size = re.search(rb"Content-Length: (\d+)", head)
        await reader.readexactly(int(size[1]) if size else 0)
        writer.write(listing if head.startswith(b"GET") else left.pop(0))
        await writer.drain()

    async with stream_server(handle) as port:
        upstream = Upstream(url=f"http://127.0.0.1:{port}/v1", kind="openai")
        engine = OpenAiEngine(slots=1, upstream=upstream)
        await engine.start()
        try:
            text, failure = await read(engine)
        finally:
            await engine.close()
    return text, failure, len(responses) - len(left)


async def read(engine: OpenAiEngine) -> tuple[str, EngineError | None]:
    text, failure = "", None
    try:
        async for each in engine.generate(REQUEST):
            text += each.text
    except EngineError as error:
        failure = error
    return text, failure


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engines.openai.engine._FIRST_PAUSE_S", 0.001)


@FRAMED
@pytest.mark.parametrize("body", [A, A + B[:20], b"", b": ping\n\n"])
async def test_openai_engine_asks_once_where_the_upstream_itself_ends_a_stream_too_early(
    framed: Framing, body: bytes
) -> None:
    text, failure, asked = await outcome(framed(body), framed(B + END))
    assert (text, asked) == ("a" if A in body else "", 1)
    assert isinstance(failure, UnusableAnswerError)
    assert f"'{REQUEST.model}' cannot be read: the stream ended before choices[0]" in str(failure)
    assert "one of which must end an answer. The operator must correct" in str(failure)


@BROKEN
@pytest.mark.parametrize("body", [A, A + B[:20]])
async def test_openai_engine_continues_a_stream_that_may_have_been_broken(
    broken: Framing, body: bytes
) -> None:
    assert await outcome(broken(body), chunked(B + END)) == ("ab", None, 2)


async def test_openai_engine_takes_a_second_close_for_the_upstreams_own_end() -> None:
    text, failure, asked = await outcome(closed(A), closed(B), chunked(A + END))
    assert (text, asked) == ("ab", 2)
    assert isinstance(failure, UnusableAnswerError)
    assert "was ended twice by a closed connection before choices[0]" in str(failure)


@pytest.mark.parametrize("second", [chunked, sized])
async def test_openai_engine_asks_no_third_time_after_a_break_and_an_early_end(
    second: Framing,
) -> None:
    text, failure, asked = await outcome(cut(A), second(B), chunked(A + END))
    assert (text, type(failure), asked) == ("ab", UnusableAnswerError, 2)


@pytest.mark.parametrize("framing", [chunked, sized, cut, short, closed])
@pytest.mark.parametrize("end", [END, DONE, DONE[:-1], DONE[:-2], END + DONE, END[:-2]])
async def test_openai_engine_needs_no_more_of_a_stream_than_the_end_of_its_answer(
    framing: Framing, end: bytes
) -> None:
    # Only a body that was read to its end can show the end of a line.
    if framing in (cut, short) and end in (DONE[:-1], DONE[:-2], END[:-2]):
        end += b"\n\n"
    assert await outcome(framing(A + end)) == ("a", None, 1)


class _Open(Reply):
    """A body whose pieces come a second after each other, and whose end never comes."""

    async def readany(self) -> bytes:
        piece = await super().readany()
        await asyncio.sleep(1 if piece else 1000)
        return piece


def _read_open(pieces: Sequence[bytes]) -> tuple[list[TokenChunk], float]:
    async def scenario() -> tuple[list[TokenChunk], float]:
        async with stubbed() as (engine, stub):
            stub.replies = [_Open(pieces)]
            return [each async for each in engine.generate(REQUEST)], now()

    return run(scenario())


@pytest.mark.parametrize(
    "after", [[], [b": ping\n\n"] * 100, [b"data: {}\n\n"] * 100, [b"<html>"] * 100]
)
def test_openai_engine_waits_two_seconds_for_what_follows_an_answer(after: list[bytes]) -> None:
    chunks, took = _read_open([A, END, *after])
    assert [each.text for each in chunks] == ["a", ""]
    assert took == pytest.approx(2 + 2, abs=1)


def test_openai_engine_takes_text_that_comes_with_several_reasons() -> None:
    both = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
    chunks, _ = _read_open([b"data: " + dumps(both) + b"\n\n"] * 9)
    assert "".join(each.text for each in chunks) == "a" * 9
