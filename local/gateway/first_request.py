"""The first request on a connection to the clients' port: a WebSocket handshake or plain HTTP."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from websockets.asyncio.server import Server
from websockets.server import ServerProtocol

from local.gateway.config import Limits
from local.gateway.plain_http import PlainHttp
from local.gateway.sockets import GatewaySocket
from local.http.messages import MAX_HEAD_BYTES

HEALTH = "/health"
"""Path of the gateway's own health check."""


class FirstRequests:
    """Reads the first request of each connection, and passes the connection on by it.

    The WebSocket library would answer plain HTTP itself, and closes connections whose request has
    another method than GET. So it gets WebSocket handshakes and the health check alone.

    Parameters
    ----------
    limits : Limits
        Quotas for WebSocket connections.
    plain_http : PlainHttp
        Takes over the other connections.
    within_s : float
        Time for the head of the first request.
    """

    def __init__(self, *, limits: Limits, plain_http: PlainHttp, within_s: float) -> None:
        self._limits = limits
        self._plain_http = plain_http
        self._within_s = within_s
        self._waiting: set[_FirstRequest] = set()
        self._closed = False

    def create_connection(
        self, protocol: ServerProtocol, server: Server, **options: Any
    ) -> asyncio.Protocol:
        """Return the protocol of a new connection: what the library's `create_connection` does."""
        return _FirstRequest(
            socket=partial(GatewaySocket, protocol, server, limits=self._limits, **options),
            plain_http=self._plain_http,
            within_s=self._within_s,
            begun=self._begun,
            done=self._waiting.discard,
        )

    def close(self) -> None:
        """Drop the connections that have not sent a request yet."""
        self._closed = True
        for first in tuple(self._waiting):
            first.abort()

    def _begun(self, first: "_FirstRequest") -> None:
        # One that was accepted just before the server stopped listening begins afterwards.
        if self._closed:
            first.abort()
        else:
            self._waiting.add(first)


class _FirstRequest(asyncio.Protocol):
    def __init__(
        self,
        *,
        socket: Callable[[], GatewaySocket],
        plain_http: PlainHttp,
        within_s: float,
        begun: "Callable[[_FirstRequest], None]",
        done: "Callable[[_FirstRequest], None]",
    ) -> None:
        self._socket = socket
        self._plain_http = plain_http
        self._within_s = within_s
        self._begun = begun
        self._done = done
        self._received = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._within_s, self._transport.abort)
        self._begun(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        found = is_for_library(self._received)
        if found is None:
            return
        self._leave()
        if not found:
            self._plain_http(self._transport, self._received)
            return
        socket = self._socket()
        self._transport.set_protocol(socket)
        socket.connection_made(self._transport)
        socket.data_received(self._received)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._leave()

    def abort(self) -> None:
        self._transport.abort()

    def _leave(self) -> None:
        self._timer.cancel()
        self._done(self)


def is_for_library(received: bytes) -> bool | None:
    """Return whether a first request is a WebSocket handshake or a health check.

    Parameters
    ----------
    received : bytes
        The request's first bytes, or all of them.

    Returns
    -------
    bool | None
        None: more bytes are needed to know.
    """
    if not b"GET ".startswith(received[:4]):
        return False
    head, end, _ = received.partition(b"\r\n\r\n")
    if not end:
        return None if len(received) <= MAX_HEAD_BYTES else False
    line, *headers = head.split(b"\r\n")
    return line.split(b" ")[1] == HEALTH.encode() or any(map(_upgrades, headers))


def _upgrades(header: bytes) -> bool:
    # By its value: Java's client and `curl --http2` offer h2c in each request.
    name, _, value = header.partition(b":")
    return name.lower() == b"upgrade" and b"websocket" in value.lower()
