"""A streaming chat-completions server that costs next to nothing: the baseline of all figures.

Each token is written on its own, in an iteration of the event loop of its own, as engines do. Its
time is fixed when the request arrives, so that a late token delays none after it.
"""

import argparse
import asyncio
import itertools
import json
import re
from functools import lru_cache
from typing import cast

import uvloop
from typing_extensions import override

from benchmarks.model import Pace, counted_tokens

_COUNT = re.compile(r"\s*count to (\d+)\s*", re.IGNORECASE)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_ROLE = (
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
)
_ids = itertools.count()


def answer_tokens(text: str) -> tuple[str, ...]:
    """Return the tokens that answer a text: the numbers of `count to N`, else its own words."""
    if (match := _COUNT.fullmatch(text)) is not None:
        return counted_tokens(int(match[1]))
    return tuple(word if i == 0 else f" {word}" for i, word in enumerate(text.split()))


@lru_cache(maxsize=65_536)
def _delta_tail(token: str) -> bytes:
    delta = {"index": 0, "delta": {"content": token}, "finish_reason": None}
    return b'"choices":[' + json.dumps(delta).encode() + b"]}\n\n"


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


class _Stream:
    """One answer: writes its tokens, each at its own time."""

    def __init__(self, *, connection: "EngineConnection", tokens: tuple[str, ...]) -> None:
        self._connection = connection
        self._tokens = tokens
        self._next = 0
        self._head = (
            b'data: {"id":"chatcmpl-%d","object":"chat.completion.chunk",' % next(_ids)
            + b'"created":1,"model":"mock",'
        )
        self._loop = connection.loop
        self._due = self._loop.time() + connection.pace.ttft_s

    def start(self) -> None:
        """Begin to write."""
        self._connection.transport.write(_STREAM_HEAD + _chunk(self._head + _ROLE))
        self._loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._connection.transport.is_closing():
            return
        if self._next == len(self._tokens):
            self._finish()
            return
        token = self._tokens[self._next]
        self._connection.transport.write(_chunk(self._head + _delta_tail(token)))
        self._next += 1
        if self._next < len(self._tokens) and self._connection.pace.token_s:
            self._due += self._connection.pace.token_s
            self._loop.call_at(self._due, self._send)
        else:
            self._loop.call_soon(self._send)

    def _finish(self) -> None:
        stop = b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        last = _chunk(self._head + stop) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self._connection.transport.write(last)


class EngineConnection(asyncio.Protocol):
    """One keep-alive HTTP connection; a request is answered before the next is sent."""

    transport: asyncio.Transport

    def __init__(self, *, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self.pace = pace
        self.loop = loop
        self._received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < stop:
                return
            body, self._received = self._received[end + 4 : stop], self._received[stop:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST /v1/chat/completions"):
            text = json.loads(body)["messages"][-1]["content"]
            _Stream(connection=self, tokens=answer_tokens(text)).start()
            return
        # Routers ask for health and models before they pass anything on.
        reply = b'{"object":"list","data":[{"id":"mock","object":"model","owned_by":"bench"}]}'
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(reply), reply)
        )


async def serve(*, port: int, pace: Pace) -> None:
    """Listen on 127.0.0.1 until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: EngineConnection(pace=pace, loop=loop), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(prog="benchmarks.mock_engine")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttft-ms", type=float, default=0.0)
    parser.add_argument("--token-ms", type=float, default=0.0)
    options = parser.parse_args()
    pace = Pace(ttft_ms=options.ttft_ms, token_ms=options.token_ms)
    uvloop.run(serve(port=options.port, pace=pace))


if __name__ == "__main__":
    main()
