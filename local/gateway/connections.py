"""Open connections, their timers, and their lookup by id and by socket."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from local.gateway.client import Client
from local.gateway.config import Limits
from local.gateway.sockets import GatewaySocket


class GoneError(Exception):
    """The connection does not exist or is not open."""


class BufferFullError(Exception):
    """The client reads too slowly."""


class Connection:
    """A client and its socket; closes itself with 1001 when it is idle or old."""

    def __init__(self, *, client: Client, socket: GatewaySocket, limits: Limits) -> None:
        self.client = client
        self.socket = socket
        self.last_active_at = time.time()
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._active = self._loop.time()
        self._idle_timer = self._loop.call_later(limits.idle_timeout_s, self._on_idle_timer)
        self._end_timer = self._loop.call_later(limits.connection_duration_s, self._go_away)

    def touch(self) -> None:
        """Restart the idle timer, for a message in either direction; pings do not count."""
        self._active = self._loop.time()
        self.last_active_at = time.time()

    def send(self, message: str) -> None:
        """Write a message without waiting for the client.

        Raises
        ------
        GoneError
            The connection is not open, or not yet.
        BufferFullError
            More than the limit waits for the client already.
        """
        # `$connect` may post before the handshake is complete: API Gateway answers 410 then.
        if self.socket.state is not State.OPEN:
            raise GoneError
        if self.socket.transport.get_write_buffer_size() > self._limits.client_buffer_bytes:
            raise BufferFullError
        # `send` would wait for a slow client, and hold up every other post of the relay.
        broadcast((self.socket,), message)
        self.touch()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake without waiting for it."""
        self._spawn(self.socket.close(code, reason))

    def release(self) -> None:
        """Stop the timers of a closed connection."""
        self._idle_timer.cancel()
        self._end_timer.cancel()

    def _on_idle_timer(self) -> None:
        # A timer that is restarted for every message would cost more than this one check.
        rest = self._active + self._limits.idle_timeout_s - self._loop.time()
        if rest > 0:
            self._idle_timer = self._loop.call_later(rest, self._on_idle_timer)
        else:
            self._go_away()

    def _go_away(self) -> None:
        self.close(1001, "Going away")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Connections:
    """All connections whose `$connect` was accepted, by id and by socket."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection] = {}
        self._by_socket: dict[ServerConnection, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, connection: Connection) -> None:
        """Add a connection, so that it can be posted to."""
        self._by_id[connection.client.id] = connection
        self._by_socket[connection.socket] = connection

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection and stop its timers."""
        del self._by_id[connection.client.id]
        del self._by_socket[connection.socket]
        connection.release()

    def of_socket(self, socket: ServerConnection) -> Connection | None:
        """Return a socket's connection, or None once it has closed."""
        return self._by_socket.get(socket)

    def get(self, connection_id: str) -> Connection:
        """Return an open connection.

        Raises
        ------
        GoneError
            No open connection has this id.
        """
        connection = self._by_id.get(connection_id)
        if connection is None or connection.socket.state is not State.OPEN:
            raise GoneError
        return connection
