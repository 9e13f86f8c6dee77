"""SocketConnection: the WebSocket of one client, with bounds on what it sends and does not read."""

import asyncio
from contextlib import suppress
from struct import pack
from typing import Literal, Protocol

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http_websocket import WebSocketReader, WebSocketWriter
from typing_extensions import override

from axon.exceptions import RequestError
from front.bodies import Bodies
from front.slow_readers import BUFFER_BYTES, STALLED_S, bound_buffers
from front.socket.arriving import ArrivingMessages

PING_S = 40.0
"""Seconds of a client's silence after which it is pinged: shorter than the idle limit of an ALB
(60 s). Without an answer in half of this time, its connection is closed."""
CLOSE_S = 2.0
"""Seconds that a client has to answer a close frame, and to read what comes before it."""
UNREAD = "Messages have not been read for too long. Connect again, and resume."


class ClientGoneError(Exception):
    """The client has left."""


class StalledError(ClientGoneError):
    """The client has read nothing for `STALLED_S`."""


class ClientSocket(Protocol):
    """A client's WebSocket as a session uses it: `SocketConnection`, and a fake for tests."""

    @property
    def refused(self) -> bool:
        """True once the connection is closed for what the client has sent, also while it closes."""
        ...

    async def receive(self) -> bytes | None:
        """Return the client's next message; None once the connection is closed.

        From now on it is the caller's to count.

        Raises
        ------
        StalledError
            The client pings, and does not read the answers.
        """
        ...

    async def send(self, event: bytes) -> None:
        """Send an event; wait while the client reads too slowly.

        Raises
        ------
        StalledError
            It has read nothing for `STALLED_S`.
        ClientGoneError
            The client has left.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, also if the client neither reads nor answers."""
        ...


class SocketConnection(ClientSocket):
    """See `ClientSocket`; `open` completes the handshake.

    Events that are ready in the same step of the event loop are written together: uvloop gathers
    the writes of a step.

    Parameters
    ----------
    request : web.Request
        The handshake.
    bodies : Bodies
        Has the longest message, of one or several frames, and counts what is held of those that
        still arrive.
    tenant_id : str
        Whose socket it is.
    """

    def __init__(self, request: web.Request, *, bodies: Bodies, tenant_id: str) -> None:
        self._request = request
        self._response = _Response(bodies, tenant_id)

    @property
    @override
    def refused(self) -> bool:
        return self._response.refused

    @property
    def response(self) -> web.StreamResponse:
        """The answer to the handshake, to be returned by the endpoint."""
        return self._response

    async def open(self) -> None:
        """Complete the handshake.

        Raises
        ------
        RequestError
            It is not one of version 13 of the protocol.
        """
        if not self._response.can_prepare(self._request):
            raise RequestError(
                "This is no handshake of a WebSocket of version 13. Connect with a WebSocket "
                "client, for example with `client.responses.connect()` of the openai package.",
                code="invalid_handshake",
            )
        await self._response.prepare(self._request)
        if (transport := self._request.transport) is None:
            raise ConnectionResetError("the client has left")
        # As for streams: what a client does not read costs this process, and the kernel, no more.
        bound_buffers(transport)

    def release(self) -> None:
        """Count nothing any more of what has arrived."""
        self._response.arriving.release()

    @override
    async def receive(self) -> bytes | None:
        message = await self._response.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._response.arriving.take(len(message.data))
        if message.type is WSMsgType.TEXT:
            text: bytes = message.data
            return text
        if message.type is WSMsgType.BINARY:
            await self.close(WSCloseCode.UNSUPPORTED_DATA, "Send text messages.")
        return None

    @override
    async def send(self, event: bytes) -> None:
        try:
            await self._response.send_frame(event, WSMsgType.TEXT)
            await self._response.drain_slow_client()
        except ConnectionError as error:
            raise ClientGoneError("the client has left") from error

    @override
    async def close(self, code: int, reason: str) -> None:
        # A timeout ends a wait for a client that does not read what comes before the close frame.
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(2 * CLOSE_S):
                await self._response.close(code=code, message=reason.encode())
        if (transport := self._request.transport) is not None:
            transport.abort()


class _Response(web.WebSocketResponse[Literal[False]]):
    """A WebSocket of whole text messages, as bytes, uncompressed; it says why it closes.

    Compressed messages could be a thousand times as long as what is received, and cost more than
    they save for events of this length.
    """

    def __init__(self, bodies: Bodies, tenant_id: str) -> None:
        # The library refuses messages of its limit, and longer ones. Its writer waits for slow
        # clients without a limit of time, so `drain_slow_client` does that.
        super().__init__(
            compress=False,
            decode_text=False,
            heartbeat=PING_S,
            max_msg_size=bodies.max_bytes + 1,
            timeout=CLOSE_S,
            writer_limit=2**62,
        )
        self._max_bytes = bodies.max_bytes
        self.refused = False
        self.arriving = ArrivingMessages(
            bodies.held_of_sockets, tenant_id=tenant_id, late=self.refuse_data
        )

    @override
    def _post_start(
        self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        # The library has no public place between a connection and the parser of its frames. What
        # came with the handshake is parsed in the call.
        handler = request.protocol
        self.arriving.feed(handler._message_tail)  # noqa: SLF001
        super()._post_start(request, protocol, writer)
        parser = _Counted(handler._payload_parser, self)  # noqa: SLF001
        handler._payload_parser = parser  # noqa: SLF001

    def refuse_data(self) -> None:
        """Close the connection, as too much arrives, or too slowly: `arriving.refused`."""
        if self._reader is not None:
            self._reader.set_exception(ConnectionError("what arrives is refused"))

    async def drain_slow_client(self) -> None:
        """Wait while too much that was written waits for the client.

        Raises
        ------
        StalledError
            It has read nothing for `STALLED_S`.
        """
        if self._req is None or (transport := self._req.transport) is None:
            return
        if transport.get_write_buffer_size() <= BUFFER_BYTES:
            return
        try:
            async with asyncio.timeout(STALLED_S):
                await self._req.writer.drain()
        except TimeoutError as error:
            raise StalledError("the client does not read") from error

    @override
    async def pong(self, message: bytes = b"") -> None:
        # Else a client that pings and does not read would fill the memory.
        await super().pong(message)
        await self.drain_slow_client()

    @override
    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        reason = ""
        if self.arriving.refused is not None:
            code, reason = WSCloseCode.TRY_AGAIN_LATER, self.arriving.refused.message
        elif code == WSCloseCode.MESSAGE_TOO_BIG:
            reason = f"A message may have {self._max_bytes:,} bytes at most."
        # Before anything is awaited: a client closes its side as soon as it reads the close frame,
        # which ends this call, and would count as one that has left. The library answers a client
        # that closes first with the code OK.
        self.refused = self.refused or code != WSCloseCode.OK
        if reason:
            await self.send_frame(pack("!H", code) + reason.encode(), WSMsgType.CLOSE)
            # The rest of the message still arrives. To close a connection with unread data resets
            # it, and the client would not learn why. It ends this by closing its side.
            await asyncio.sleep(CLOSE_S)
        return await super().close(code=code, message=message, drain=drain)


class _Counted:
    """The library's parser of a connection's frames, behind a count of what arrives."""

    def __init__(self, parser: WebSocketReader, response: _Response) -> None:
        self._parser = parser
        self._response = response

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse received bytes; drop them once too much is held."""
        if self._response.arriving.feed(data):
            return self._parser.feed_data(data)
        self._response.refuse_data()
        return True, b""

    def feed_eof(self) -> None:
        """Note that nothing more comes."""
        self._parser.feed_eof()
