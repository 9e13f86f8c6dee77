"""EventStream: an HTTP answer of server-sent events."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from front.routing import log_failure

COMMENT_S = 15.0
"""Seconds of silence after which a comment is sent: shorter than the idle limits of balancers and
proxies on the way (an ALB's is 60 s, API Gateway's regional one 300 s)."""
STALLED_S = 45.0
"""Seconds for which a client may read nothing while something waits for it, checked each
`COMMENT_S`; then its connection is closed."""
BUFFER_BYTES = 64 * 1024
"""Bytes that wait for a client before nothing more is written. Together with aiohttp's own 64 KiB
between two looks at this buffer, the follower's cache (`axon.event_log.merger.CACHE_BYTES`) and one
event, it bounds the memory of a reader that does not read: 192 KiB, and one event."""
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx and what is built on it would collect the events.
    "X-Accel-Buffering": "no",
}
_COMMENT = b": keep-alive\n\n"


class EventStream:
    """Sends events to the client of one request, and comments while there are none.

    Entering it sends the headers. Its end completes the answer; an exception that ends it is sent
    as an event of the API, since the status has been sent before. A client that does not read costs
    `BUFFER_BYTES`, and is disconnected after `STALLED_S`; a response can then be followed on.

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
        self._wrote_at = 0.0
        self._writes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None

    @property
    def response(self) -> web.StreamResponse:
        """The answer, to be returned by the endpoint."""
        return self._response

    async def __aenter__(self) -> Self:
        await self._response.prepare(self._request)
        if (transport := self._request.transport) is not None:
            transport.set_write_buffer_limits(high=BUFFER_BYTES)
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
                await self._response.write_eof()
        finally:
            self._stop()
        return error is None

    async def send(self, data: bytes, *, event: str | None = None) -> None:
        """Send an event: one line of data and, if given, the event's name."""
        name = b"" if event is None else b"event: %b\n" % event.encode()
        await self.write(b"%bdata: %b\n\n" % (name, data))

    async def write(self, text: bytes) -> None:
        """Send complete events, as text of the stream; wait while the client reads too slowly."""
        self._wrote_at = self._loop.time()
        self._writes += 1
        await self._response.write(text)
        self._writes -= 1

    def _look(self) -> None:
        """Send a comment after a silence, or disconnect a client that does not read."""
        silent_s = self._loop.time() - self._wrote_at
        if self._writes:  # the buffer is full
            if silent_s >= STALLED_S and (transport := self._request.transport) is not None:
                transport.abort()  # which cancels the handler, too
                return
            silent_s = 0.0
        elif silent_s >= COMMENT_S:
            self._comment = self._loop.create_task(self._write_comment())
            silent_s = 0.0
        self._timer = self._loop.call_later(COMMENT_S - silent_s, self._look)

    async def _write_comment(self) -> None:
        try:
            await self.write(_COMMENT)
        except ConnectionResetError:
            return  # the handler is cancelled for the same reason

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()
