"""A streaming server that costs next to nothing: the baseline of all figures.

It speaks Chat Completions and, for gateways that ask it so, Responses.

Each token is written on its own, in an iteration of the event loop of its own, as engines do. Its
time is fixed when the request arrives, so that a late token delays none after it.
"""

import argparse
import asyncio
import itertools
import json
import re
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, cast

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
_RESPONSE: dict[str, object] = {
    "object": "response",
    "created_at": 1,
    "model": "mock",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "temperature": 1.0,
    "top_p": 1.0,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "usage": None,
}
_ids = itertools.count()


def _input_text(value: str | list[dict[str, Any]]) -> str:
    """Return the last message of a request's input."""
    if isinstance(value, str):
        return value
    content = value[-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])


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


class _Stream(ABC):
    """One answer: writes its tokens, each at its own time."""

    def __init__(self, *, connection: "EngineConnection", tokens: tuple[str, ...]) -> None:
        self._connection = connection
        self._tokens = tokens
        self._next = 0
        self._loop = connection.loop
        self._due = self._loop.time() + connection.pace.ttft_s

    def start(self) -> None:
        """Begin to write."""
        self._connection.transport.write(_STREAM_HEAD + _chunk(self._beginning()))
        self._loop.call_at(self._due, self._send)

    @abstractmethod
    def _beginning(self) -> bytes: ...

    @abstractmethod
    def _delta(self, token: str) -> bytes: ...

    @abstractmethod
    def _end(self) -> bytes: ...

    def _send(self) -> None:
        if self._connection.transport.is_closing():
            return
        if self._next == len(self._tokens):
            self._finish()
            return
        token = self._tokens[self._next]
        self._connection.transport.write(_chunk(self._delta(token)))
        self._next += 1
        if self._next < len(self._tokens) and self._connection.pace.token_s:
            self._due += self._connection.pace.token_s
            self._loop.call_at(self._due, self._send)
        else:
            self._loop.call_soon(self._send)

    def _finish(self) -> None:
        self._connection.transport.write(_chunk(self._end()) + b"0\r\n\r\n")


class _ChatStream(_Stream):
    """An answer as chunks of Chat Completions."""

    _head = b""

    @override
    def _beginning(self) -> bytes:
        self._head = (
            b'data: {"id":"chatcmpl-%d","object":"chat.completion.chunk",' % next(_ids)
            + b'"created":1,"model":"mock",'
        )
        return self._head + _ROLE

    @override
    def _delta(self, token: str) -> bytes:
        return self._head + _delta_tail(token)

    @override
    def _end(self) -> bytes:
        stop = b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        return self._head + stop + b"data: [DONE]\n\n"


class _ResponseStream(_Stream):
    """An answer as events of the Responses API."""

    _number = 0
    _id = 0

    @override
    def _beginning(self) -> bytes:
        self._id = next(_ids)
        place = {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}
        self._place = json.dumps(place)[1:-1].encode()
        begun = self._response("in_progress")
        message = self._message("in_progress", [])
        return b"".join(
            (
                self._event("response.created", response=begun),
                self._event("response.in_progress", response=begun),
                self._event("response.output_item.added", output_index=0, item=message),
                self._event("response.content_part.added", **place, part=_part("")),
            )
        )

    @override
    def _delta(self, token: str) -> bytes:
        self._number += 1
        return (
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
            b'"sequence_number":%d,%b,"delta":%b,"logprobs":[]}\n\n'
            % (self._number - 1, self._place, json.dumps(token).encode())
        )

    @override
    def _end(self) -> bytes:
        place = json.loads(b"{%b}" % self._place)
        text = "".join(self._tokens)
        message = self._message("completed", [_part(text)])
        usage = {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": len(self._tokens),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 3 + len(self._tokens),
        }
        ended = self._response("completed") | {"output": [message], "usage": usage}
        return b"".join(
            (
                self._event("response.output_text.done", **place, text=text, logprobs=[]),
                self._event("response.content_part.done", **place, part=_part(text)),
                self._event("response.output_item.done", output_index=0, item=message),
                self._event("response.completed", response=ended),
            )
        )

    def _event(self, kind: str, **fields: object) -> bytes:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()

    def _response(self, status: str) -> dict[str, object]:
        return _RESPONSE | {"id": f"resp_{self._id}", "status": status}

    def _message(self, status: str, content: list[object]) -> dict[str, object]:
        fields = {"type": "message", "role": "assistant", "status": status, "content": content}
        return {"id": f"msg_{self._id}", **fields}


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


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
            _ChatStream(connection=self, tokens=answer_tokens(text)).start()
            return
        if head.startswith(b"POST /v1/responses"):
            text = _input_text(json.loads(body)["input"])
            _ResponseStream(connection=self, tokens=answer_tokens(text)).start()
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
