"""Clients' connections in memory."""

import asyncio
from collections import defaultdict, deque

from typing_extensions import override

from axon.management_api import ConnectionGoneError, ConnectionsApi, PayloadTooLargeError

MAX_BYTES = 128 * 1024


class FakeConnections(ConnectionsApi):
    """Every connection exists until it is deleted; keeps what each was sent, in order.

    `posts` holds the messages that arrived, `deleted` the connections that were closed, in order.
    Two posts at a time on one connection are an error, because the gateway may swap them.
    """

    def __init__(self) -> None:
        self.posts: dict[str, list[bytes]] = defaultdict(list)
        self.deleted: list[str] = []
        self.attempts = 0
        self._gone: set[str] = set()
        self._failures: dict[str, deque[Exception | None]] = defaultdict(deque)
        self._posting: set[str] = set()
        self._open = asyncio.Event()
        self._open.set()

    def fail(self, connection_id: str, *errors: Exception | None) -> None:
        """Make the connection's next requests raise these errors, in order; None: succeed."""
        self._failures[connection_id].extend(errors)

    def hang_up(self, connection_id: str) -> None:
        """Disconnect the client."""
        self._gone.add(connection_id)

    def hold(self) -> None:
        """Make posts wait until `release`."""
        self._open.clear()

    def release(self) -> None:
        """End the wait of posts."""
        self._open.set()

    @override
    async def post(self, connection_id: str, data: bytes) -> None:
        assert connection_id not in self._posting, f"two posts at a time on {connection_id}"
        self._posting.add(connection_id)
        self.attempts += 1
        try:
            await asyncio.sleep(0)
            await self._open.wait()
            self._check(connection_id)
            if len(data) > MAX_BYTES:
                raise PayloadTooLargeError(f"{len(data)} bytes")
            self.posts[connection_id].append(data)
        finally:
            self._posting.discard(connection_id)

    @override
    async def delete(self, connection_id: str) -> None:
        await asyncio.sleep(0)
        self._check(connection_id)
        self._gone.add(connection_id)
        self.deleted.append(connection_id)

    def _check(self, connection_id: str) -> None:
        failures = self._failures[connection_id]
        error = failures.popleft() if failures else None
        if error is not None:
            raise error
        if connection_id in self._gone:
            raise ConnectionGoneError(connection_id)
