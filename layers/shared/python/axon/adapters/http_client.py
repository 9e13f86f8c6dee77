"""HttpClient: small HTTP/1.1 requests to one origin, over connections that are kept.

A signed request to SQS costs a third of the CPU that it costs with aiohttp's client, and an answer
of Axon's takes one and a half of them (docs/adr/0039-cpu-of-an-answer.md). Messages are parsed by
httptools, which is Node.js's parser; there are no redirects, cookies, proxies or compression.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from typing_extensions import override

from axon.adapters.closing import AsyncClosing

KEEP_ALIVE_S = 15.0
"""Seconds that an idle connection is kept: less than the servers keep it.

A request therefore hardly ever meets a connection that the server has just closed, which could not
be told apart from a request that was lost on its way.
"""
MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Longest answer that is read, head included: a payload of 20 MB from S3, and room to spare."""
_PART_BYTES = 2**20
"""A longer body is written in parts: at once, it would be copied while nothing else runs."""

_SWITCHING = 101


class HttpError(Exception):
    """No answer has come; the request may have arrived."""


class NotSentError(HttpError):
    """There was no connection, so nothing of the request was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Time limits of a request.

    Parameters
    ----------
    connect_s : float
        Seconds to wait for a connection, including the wait for one of the pool.
    answer_s : float
        Seconds from then to the end of the answer.
    """

    connect_s: float
    answer_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes

    @override
    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.body[:300].decode(errors='replace')}"


class HttpClient(AsyncClosing):
    """Sends requests to one origin; repeats nothing.

    It opens its connections with the first request, works on one event loop, and may be used again
    after it was closed. A connection carries one request at a time.

    Parameters
    ----------
    origin : str
        Scheme, host and port. The server's certificate is checked against the host.
    pool_size : int
        Most requests in flight; further ones wait for a connection.
    """

    def __init__(self, *, origin: str, pool_size: int = 32) -> None:
        parts = urlsplit(origin)
        self._origin = origin
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._slots = asyncio.Semaphore(pool_size)
        self._open = set[_Connection]()
        self._idle: list[_Connection] = []

    async def request(
        self, method: str, path: str, body: bytes, *, headers: Mapping[str, str], limits: Limits
    ) -> Answer:
        """Send one request; return the answer, whatever its status.

        If this is cancelled, its connection is closed.

        Parameters
        ----------
        method : str
            HTTP method, in upper case; not ``HEAD``.
        path : str
            As it is sent: percent-encoded.
        body : bytes
            Empty for none.
        headers : Mapping[str, str]
            All headers but `Content-Length`.
        limits : Limits
            Limits of this request.

        Raises
        ------
        NotSentError
            There was no connection in time.
        HttpError
            No answer came in time, or the connection broke, or what came is not HTTP.
        ValueError
            The path or a header has a line break or a character outside Latin-1.
        """
        head = _head(method, path, body, headers)
        connection = await self._take(limits.connect_s)
        try:
            return await connection.exchange(head, body, within_s=limits.answer_s)
        finally:
            self._release(connection)

    @override
    async def close(self) -> None:
        """Close the connections; requests in flight fail."""
        for connection in tuple(self._open):
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next iteration

    async def _take(self, within_s: float) -> "_Connection":
        """Return a connection, which occupies a slot until it is released."""
        if self._idle and not self._slots.locked():  # as nearly always: without a timer
            await self._slots.acquire()
            if connection := self._take_idle():
                return connection
            self._slots.release()
        try:
            async with asyncio.timeout(within_s):
                await self._slots.acquire()
                try:
                    return self._take_idle() or await self._connect()
                except BaseException:
                    self._slots.release()
                    raise
        except (OSError, TimeoutError) as error:  # of TLS, too
            reason = str(error) or f"no connection within {within_s:g} s"
            raise NotSentError(f"cannot reach {self._origin}: {reason}") from error

    def _take_idle(self) -> "_Connection | None":
        """Return the connection that was used last: the others may grow old and be closed."""
        latest = asyncio.get_running_loop().time() - KEEP_ALIVE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and connection.idle_since > latest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(self._open), self._host, self._port,
            ssl=_tls() if self._tls else None,
        )  # fmt: skip
        return connection

    def _release(self, connection: "_Connection") -> None:
        self._slots.release()
        if not connection.reusable:
            connection.close()
            return
        now = connection.idle_since = asyncio.get_running_loop().time()
        # Those that were needed in a rush are closed one by one while less is to do.
        if self._idle and self._idle[0].idle_since <= now - KEEP_ALIVE_S:
            self._idle.pop(0).close()
        self._idle.append(connection)


class _Connection(asyncio.Protocol):
    """A connection to the server, and the parser of what comes on it.

    Parameters
    ----------
    connections : set[_Connection]
        It is an element of this set from when it is made until it is lost.
    """

    def __init__(self, connections: set["_Connection"]) -> None:
        self.reusable = False
        """True if another request may be sent after the last one's answer."""
        self.idle_since = 0.0
        self._connections = connections
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._chunks: list[bytes] = []
        self._received = 0
        self._sent = False
        self._writable = asyncio.Event()
        self._writable.set()

    async def exchange(self, head: bytes, body: bytes, *, within_s: float) -> Answer:
        """Send a request and return its answer; otherwise the connection cannot be used again."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        # True from here on only if all goes well to the end of the answer.
        self.reusable, self._sent, self._received = False, False, 0
        timer = loop.call_later(within_s, self._fail, f"no answer within {within_s:g} s")
        try:
            self._transport.write(head + body[:_PART_BYTES])
            if len(body) > _PART_BYTES:
                await self._write_rest(memoryview(body)[_PART_BYTES:], answer)
            self._sent = True
            return await answer
        finally:
            timer.cancel()
            self._answer = None

    async def _write_rest(self, rest: memoryview, answer: "asyncio.Future[Answer]") -> None:
        """Write as fast as the server reads, until it has answered or the connection is lost."""
        answer.add_done_callback(lambda _: self._writable.set())
        for start in range(0, len(rest), _PART_BYTES):
            await self._writable.wait()
            if answer.done():
                return
            self._transport.write(rest[start : start + _PART_BYTES])

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    def close(self) -> None:
        """Close the connection at once; an answer that is waited for does not come."""
        self.reusable = False
        self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self.reusable = True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._connections.discard(self)
        # Also where the answer may end with the connection: nothing tells it from one cut short.
        self._fail(f"the connection broke: {exc or 'closed by the server'}")

    @override
    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._answer is None or self._received > MAX_ANSWER_BYTES:
            # Taken for the next request's answer, bytes that no request has asked for would shift
            # all answers that follow by one.
            self._fail("more came than an answer")
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(f"malformed answer: {error!r}")
            self.close()

    def on_message_begin(self) -> None:
        """Begin an answer, or one too many: after the answer that was asked for (httptools)."""
        self.reusable = False
        self._chunks = []

    def on_body(self, body: bytes) -> None:
        """Keep a part of the answer's body (httptools)."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """End the answer (httptools)."""
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != _SWITCHING:  # 100 Continue: the answer follows
            return
        if self._answer is None or self._answer.done() or not 200 <= status < 600:
            self._fail(f"unexpected answer: status {status}")
            self.close()
            return
        # A server that answers before it has read the whole request does not read its rest.
        sent = self._sent and self._transport.get_write_buffer_size() == 0
        self.reusable = sent and self._parser.should_keep_alive()
        self._answer.set_result(Answer(status, b"".join(self._chunks)))

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(HttpError(reason))


def _head(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    head = "\r\n".join(lines)
    ends = len(lines) + 1
    # A line break in a value would begin a header, or a request, of its own.
    if head.count("\n") != ends or head.count("\r") != ends or path.count(" "):
        raise ValueError("a line break in a header, or a space in a path")
    return head.encode("latin-1")


@cache
def _tls() -> ssl.SSLContext:
    """Return the settings of all connections: reading the certificates takes 20 ms."""
    return ssl.create_default_context()
