"""The clients of the load generator: alike, cheap, and checking every answer."""

import asyncio
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

from typing_extensions import override

from benchmarks.model import Load, counted_text
from benchmarks.sse import ResponseParser
from benchmarks.websocket import FrameParser, Handshake, Opcode, WebSocketError, frame

API_KEY = "sk-axon-local"
_LAST = ("response.completed", "response.failed", "response.incomplete")


class WrongAnswerError(Exception):
    """An answer is not exactly what was asked for."""


@dataclass(slots=True)
class Answer:
    """Figures of one answer; moments in seconds of `perf_counter`."""

    started: float
    frames: int = 0
    delta_moments: list[float] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def delta(self, text: str, now: float) -> None:
        """Add a delta."""
        self.delta_moments.append(now)
        self.parts.append(text)

    @property
    def ttft_s(self) -> float:
        """Return the time to first token in seconds."""
        return self.delta_moments[0] - self.started


class StreamClient(asyncio.Protocol, ABC):
    """One connection, with one request at a time."""

    _transport: asyncio.Transport | None = None
    _waiter: asyncio.Future[None] | None = None
    _answer: Answer

    def __init__(self, *, load: Load) -> None:
        url = urlsplit(load.url)
        self._host, self._port, self._path = url.hostname or "127.0.0.1", url.port or 80, url.path
        self._loop = asyncio.get_running_loop()
        self._expected = counted_text(load.tokens)

    async def connect(self) -> None:
        """Connect to the server."""
        await self._loop.create_connection(lambda: self, self._host, self._port)

    async def ask(self, *, keep_parts: bool = False) -> Answer:
        """Send one request; return its answer, which was checked.

        Parameters
        ----------
        keep_parts : bool
            Keep the texts of its deltas.

        Raises
        ------
        WrongAnswerError, HttpStreamError, WebSocketError, ConnectionError
            The answer is not complete and right.
        """
        answer = await self._exchange()
        if (text := "".join(answer.parts)) != self._expected:
            raise WrongAnswerError(f"expected {self._expected!r}, got {text!r}")
        if not keep_parts:
            answer.parts.clear()
        return answer

    async def _exchange(self) -> Answer:
        if self._transport is None:
            await self.connect()
        assert self._transport is not None
        self._waiter = self._loop.create_future()
        self._answer = Answer(started=perf_counter())
        self._transport.write(self._question())
        await self._waiter
        return self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(exc or ConnectionResetError("the connection was closed"))

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._received(data, perf_counter())
        except Exception as error:  # any failure is that of the running request
            self._end(error)
            self.close()

    def _end(self, error: Exception | None = None) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if error is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(error)

    def _accept(self, event: dict[str, Any]) -> None:
        """Take the last event of a response.

        Raises
        ------
        WrongAnswerError
            The response was not completed.
        """
        if event["type"] != "response.completed":
            raise WrongAnswerError(f"ended as {event}")

    @abstractmethod
    def _question(self) -> bytes: ...

    @abstractmethod
    def _received(self, data: bytes, now: float) -> None: ...


class _SseClient(StreamClient):
    """An answer as server-sent events."""

    def __init__(self, *, load: Load) -> None:
        super().__init__(load=load)
        self._request = self._post({"model": load.model, **self._body(load)})
        self._parser = ResponseParser()
        self._done = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._parser = ResponseParser()

    def _post(self, content: dict[str, Any]) -> bytes:
        """Return a request for a stream."""
        body = json.dumps({**content, "stream": True}).encode()
        head = (
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{self._headers()}\r\n"
        )
        return f"POST {self._path} HTTP/1.1\r\n{head}".encode() + body

    def _headers(self) -> str:
        """Return the lines that every request has."""
        return (
            f"Host: {self._host}:{self._port}\r\nAuthorization: Bearer {API_KEY}\r\n"
            "Accept: text/event-stream\r\n"
        )

    def _question(self) -> bytes:
        self._done = False
        return self._request

    def _received(self, data: bytes, now: float) -> None:
        for event in self._parser.feed(data):
            self._answer.frames += 1
            self._read(event, now)
        if self._parser.ended:
            self._end(None if self._done else WrongAnswerError("the stream ended without its end"))

    @abstractmethod
    def _body(self, load: Load) -> dict[str, Any]: ...

    @abstractmethod
    def _read(self, event: bytes, now: float) -> None: ...


class ChatClient(_SseClient):
    """Chat completions, streamed over server-sent events."""

    def _body(self, load: Load) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": f"count to {load.tokens}"}]}

    def _read(self, event: bytes, now: float) -> None:
        if event == b"[DONE]":
            self._done = True
            return
        chunk = json.loads(event)
        if not chunk.get("choices"):
            if "error" in chunk:
                raise WrongAnswerError(f"an error event: {event[:300]!r}")
            return
        if content := chunk["choices"][0]["delta"].get("content"):
            self._answer.delta(content, now)


class _EventNumbers:
    """Checks the events of one response: each has the number after the one before."""

    def __init__(self) -> None:
        self._next = 0

    def read(self, event: dict[str, Any]) -> str:
        """Return the type of an event.

        Raises
        ------
        WrongAnswerError
            It has another number, or is an error.
        """
        kind, number = str(event.get("type")), event.get("sequence_number")
        if kind == "error":
            raise WrongAnswerError(f"an error event: {event}")
        if number != self._next:
            raise WrongAnswerError(f"{kind} has number {number}, not {self._next}")
        self._next += 1
        return kind


class ResponsesClient(_SseClient):
    """Responses, streamed over server-sent events."""

    _numbers = _EventNumbers()

    @override
    def _question(self) -> bytes:
        self._numbers = _EventNumbers()
        return super()._question()

    def _body(self, load: Load) -> dict[str, Any]:
        return {"input": f"count to {load.tokens}"}

    def _read(self, event: bytes, now: float) -> None:
        if event == b"[DONE]":  # some servers end every stream so
            return
        fields = json.loads(event)
        kind = self._numbers.read(fields)
        if kind == "response.output_text.delta":
            self._answer.delta(str(fields["delta"]), now)
        elif kind in _LAST:
            self._accept(fields)
            self._done = True


class WebSocketClient(StreamClient):
    """Responses over WebSocket, as OpenAI and Axon serve them."""

    def __init__(self, *, load: Load) -> None:
        super().__init__(load=load)
        create = {
            "type": "response.create",
            "model": load.model,
            "input": f"count to {load.tokens}",
        }
        self._request = json.dumps(create).encode()
        self._frames = FrameParser()
        self._handshake: Handshake | None = None
        self._head = b""
        self._numbers = _EventNumbers()

    @override
    async def connect(self) -> None:
        await super().connect()
        assert self._transport is not None
        host = f"{self._host}:{self._port}"
        self._handshake = Handshake(host=host, path=self._path, api_key=API_KEY)
        self._head, self._frames = b"", FrameParser()
        self._waiter = self._loop.create_future()
        self._transport.write(self._handshake.request)
        await self._waiter

    def _question(self) -> bytes:
        self._numbers = _EventNumbers()
        return frame(Opcode.TEXT, self._request)

    def _received(self, data: bytes, now: float) -> None:
        if self._handshake is not None:
            data = self._shake(data)
        for one in self._frames.feed(data):
            if one.opcode is Opcode.PING:
                assert self._transport is not None
                self._transport.write(frame(Opcode.PONG, one.payload))
            elif one.opcode is Opcode.CLOSE:
                raise WebSocketError(f"closed by the server: {one.payload!r}")
            elif one.opcode is not Opcode.PONG and (message := self._frames.joined(one)):
                self._event(json.loads(message), now)

    def _shake(self, data: bytes) -> bytes:
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return b""
        assert self._handshake is not None
        self._handshake.check(head)
        self._handshake = None
        self._end()
        return rest

    def _event(self, event: dict[str, Any], now: float) -> None:
        kind = self._numbers.read(event)
        self._answer.frames += 1
        if kind == "response.output_text.delta":
            self._answer.delta(str(event["delta"]), now)
        elif kind in _LAST:
            self._accept(event)
            self._end()


def make_client(load: Load) -> StreamClient:
    """Return the client that `load.kind` names: `chat`, `responses` or `websocket`."""
    kinds: dict[str, type[StreamClient]] = {
        "chat": ChatClient,
        "responses": ResponsesClient,
        "websocket": WebSocketClient,
    }
    return kinds[load.kind](load=load)
