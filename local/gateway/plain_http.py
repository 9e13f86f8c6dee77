"""Plain HTTP on the clients' port: forwarded to the front, byte for byte, or refused without one.

On AWS the front has a load balancer and an address of its own, beside API Gateway's. Here both
share a port, so that one base URL serves every client.
"""

import asyncio
import json
from collections.abc import Callable
from typing import cast

from local.http.messages import Response
from local.http.server import HOST

PlainHttp = Callable[[asyncio.Transport, bytes], None]
"""Takes over a connection whose first request is no WebSocket handshake.

Gets the connection and the bytes that were received on it."""

_RETRY_PAUSE_S = 0.05
_LINGER_S = 1.0
_FLUSH_S = 10.0
"""Time that a slow client has for reading what came before the front ended its connection."""


def refuse(transport: asyncio.Transport, received: bytes) -> None:
    """Answer 426: only WebSockets are served."""
    words = received.split(b"\r\n", 1)[0].split(b" ")
    target = words[1].decode("latin-1") if len(words) > 1 else "this address"
    message = f"{target} is served over WebSocket only: connect with ws://, not http://"
    _answer(
        transport,
        status=426,
        message=message,
        error_type="invalid_request_error",
        code="upgrade_required",
        headers={"Upgrade": "websocket"},
    )


class Forwarder:
    """Joins each client's connection to one with the front.

    Nothing is gathered: what one side sends is written to the other side at once, and while a side
    does not read, the other one is not read either. So streams, uploads and disconnects pass as if
    the client were connected to the front, which checks keys, Host and Origin headers itself.

    A connection stays with the front for all its requests, as HTTP keeps connections open.

    Parameters
    ----------
    port : int
        The front's port on this machine.
    retry_s : float
        Seconds for which connecting is retried while no front listens: it may be restarting.
    """

    def __init__(self, *, port: int, retry_s: float) -> None:
        self._port = port
        self._retry_s = retry_s
        self._clients: set[_ClientSide] = set()
        self._joining: set[asyncio.Task[None]] = set()

    def forward(self, transport: asyncio.Transport, received: bytes) -> None:
        """Take over a client's connection, as `PlainHttp`."""
        client = _ClientSide(lost=self._clients.discard)
        # Until the front is connected there is nowhere to put more than the first bytes.
        transport.pause_reading()
        transport.set_protocol(client)
        client.connection_made(transport)
        self._clients.add(client)
        task = asyncio.get_running_loop().create_task(self._join(client, received))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    def close(self) -> None:
        """Drop every connection."""
        for task in self._joining:
            task.cancel()
        for client in self._clients:
            client.transport.abort()

    async def _join(self, client: "_ClientSide", received: bytes) -> None:
        try:
            front = await self._connect()
        except OSError:
            self._clients.discard(client)
            _unavailable(client.transport)
            return
        client.other, front.other = front, client
        # Before the write: one that the front does not read at once pauses the client again.
        client.resume_reading()
        front.transport.write(received)
        if client.transport.is_closing():
            front.transport.abort()

    async def _connect(self) -> "_FrontSide":
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._retry_s
        while True:
            try:
                _, front = await loop.create_connection(_FrontSide, HOST, self._port)
            except OSError:
                # Nothing was sent, so that no request can run twice.
                if loop.time() >= give_up:
                    raise
                await asyncio.sleep(_RETRY_PAUSE_S)
            else:
                return front


class _Side(asyncio.Protocol):
    """One of two joined connections."""

    transport: asyncio.Transport
    other: "_Side | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.resume_reading()

    def resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()


class _ClientSide(_Side):
    def __init__(self, *, lost: "Callable[[_ClientSide], None]") -> None:
        self._lost = lost

    def eof_received(self) -> bool:
        """Pass on that the client sends no more.

        The connection to it stays open, since what that means is the front's to say. Ours takes it
        for a client that has left, as aiohttp does, and closes: a request whose client closes its
        direction before the answer is cancelled.
        """
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lost(self)
        if self.other is not None:
            # The front must notice at once, also if it has not read everything: nobody is left to
            # whom it could answer.
            self.other.transport.abort()


class _FrontSide(_Side):
    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self.other is None:
            return
        client = self.other.transport
        # After the last bytes, so that a client can resume after the last event that came.
        client.close()
        asyncio.get_running_loop().call_later(_FLUSH_S, client.abort)


def _unavailable(transport: asyncio.Transport) -> None:
    _answer(
        transport,
        status=503,
        message="The HTTP front does not run; it is being restarted. Try again in a moment.",
        error_type="server_error",
        code="server_unavailable",
        headers={"Retry-After": "1"},
    )


def _answer(
    transport: asyncio.Transport,
    *,
    status: int,
    message: str,
    error_type: str,
    code: str,
    headers: dict[str, str],
) -> None:
    """Write the last response of a connection, in the form of OpenAI's errors."""
    error = {"message": message, "type": error_type, "param": None, "code": code}
    response = Response(
        status,
        json.dumps({"error": error}).encode(),
        {"Content-Type": "application/json", "Connection": "close", **headers},
    )
    # What the client still sends is read and dropped: closing with unread data would reset the
    # connection before the client reads the answer.
    transport.set_protocol(asyncio.Protocol())
    transport.resume_reading()
    transport.write(response.serialize())
    transport.write_eof()
    asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)
