"""EventStream: an HTTP answer of server-sent events."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from front.routing import log_failure
from front.slow_readers import BUFFER_BYTES, STALLED_S, bound_buffers

COMMENT_S = 15.0
"""Seconds of silence after which a comment is sent: shorter than the idle limits of balancers and
proxies on the way (an ALB's is 60 s, API Gateway's regional one 300 s)."""
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx and what is built on it would collect the events.
    "X-Accel-Buffering": "no",
}
_COMMENT = b": keep-alive\n\n"


def server_sent(data: bytes, *, name: bytes = b"") -> bytes:
    """Return an event as text of a stream: one line of data, and the event's name if it has one."""
    return b"event: %b\ndata: %b\n\n" % (name, data) if name else b"data: %b\n\n" % data


class EventStream:
    """Sends events to the client of one request, and comments while there are none.

    Entering it sends the headers. Its end completes the answer; an exception that ends it is sent
    as an event of the API, since the status has been sent before. A client that does not read is
    disconnected after `STALLED_S`, which is checked each `COMMENT_S`, and at the end; a response
    can then be followed on by another request.

    Events that are ready in the same step of the event loop are sent together, since a write costs
    more than an event. Nothing waits for later ones.

    Parameters
    ----------
    request : web.Request
        The request that is answered.
    error : Callable[[Exception], bytes]
        Returns the error event of the API, as complete text of the stream.
    """

    def __init__(self, request: web.Request, *, error: Callable[[Exception], bytes]) -> None:
        self._request = request
        self._error = error
        self._response = web.StreamResponse(headers=HEADERS)
        self._loop = asyncio.get_running_loop()
        self._ready: list[bytes] = []
        self._ready_bytes = 0
        self._wrote_at = 0.0
        self._blocked = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def response(self) -> web.StreamResponse:
        """The answer, to be returned by the endpoint."""
        return self._response

    async def __aenter__(self) -> Self:
        await self._response.prepare(self._request)
        bound_buffers(self._transport())
        self._wrote_at = self._loop.time()
        self._timer = self._loop.call_later(COMMENT_S, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            # A client that has left is sent nothing, and a handler that is cancelled (the client
            # has left, or the front ends) must leave the answer incomplete: its client resumes.
            if isinstance(error, Exception) and not isinstance(error, ConnectionResetError):
                log_failure(self._request, error)
                await self.write(self._error(error))
                error = None
            if error is None:
                await self._complete()
        finally:
            self._ready.clear()
            self._stop_comments()
        return error is None

    async def _complete(self) -> None:
        """Write what is left and the last chunk; disconnect a client that does not read them."""
        # A comment after the last chunk would be read as the beginning of the next answer.
        self._stop_comments()
        self._flush()
        try:
            async with asyncio.timeout(STALLED_S):
                await self._response.write_eof()
        except TimeoutError as stalled:
            self._transport().abort()
            raise ConnectionResetError("the client does not read") from stalled

    def _stop_comments(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def write(self, text: bytes) -> None:
        """Send complete events, as text of the stream; wait while the client reads too slowly.

        Raises
        ------
        ConnectionResetError
            The client has left.
        """
        if not self._ready:
            self._loop.call_soon(self._flush)
        self._ready.append(text)
        self._ready_bytes += len(text)
        if self._ready_bytes >= BUFFER_BYTES:
            self._flush()
        if self._transport().get_write_buffer_size() > BUFFER_BYTES:
            self._blocked = True
            await self._request.writer.drain()
            self._blocked = False

    def _flush(self) -> None:
        """Write what is ready, as one chunk of HTTP/1.1."""
        transport = self._request.transport
        if not self._ready or transport is None:
            return
        text = b"".join(self._ready)
        self._ready.clear()
        self._ready_bytes = 0
        self._wrote_at = self._loop.time()
        # Past aiohttp's writer, which costs as much as the rest: 10 to 27 % of an answer (ADR 26).
        if self._response.chunked or self._request.version >= (1, 1):
            text = b"%x\r\n%b\r\n" % (len(text), text)
        transport.write(text)

    def _look(self) -> None:
        """Send a comment after a silence, or disconnect a client that does not read."""
        silent_s = self._loop.time() - self._wrote_at
        if self._blocked:
            if silent_s >= STALLED_S:
                self._transport().abort()  # which cancels the handler, too
                return
            silent_s = 0.0
        elif silent_s >= COMMENT_S:
            self._ready.append(_COMMENT)
            self._flush()
            silent_s = 0.0
        self._timer = self._loop.call_later(COMMENT_S - silent_s, self._look)

    def _transport(self) -> asyncio.Transport:
        """Return the connection's transport.

        Raises
        ------
        ConnectionResetError
            The client has left.
        """
        if (transport := self._request.transport) is None:
            raise ConnectionResetError("the client has left")
        return transport
