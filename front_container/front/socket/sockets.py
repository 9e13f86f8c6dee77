"""OpenSockets: the WebSockets of a process: how many there may be, and their end with it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from axon.exceptions import RequestError
from front.memory import TENANT_SHARE
from front.socket.connection import CLOSE_S
from front.socket.session import LEAVING, SocketSession

CLOSING_S = 3 * CLOSE_S
"""Time limit in seconds for closing all sockets at once."""


class OpenSockets:
    """Counts open sockets, and closes them when the process ends.

    Parameters
    ----------
    most : int
        Most sockets at a time; a tenant may have a quarter of them, so that its idle ones do not
        take the room of others.

    Attributes
    ----------
    count_message : Callable[[str, str], None]
        Called for each answered message, as `front.socket.session.SocketSession`'s `count`.
    """

    def __init__(self, *, most: int) -> None:
        self.count_message: Callable[[str, str], None] = _count_nothing
        self._most = most
        self._most_of_tenant = max(1, most // TENANT_SHARE)
        self._by_tenant = Counter[str]()
        self._open = set[SocketSession]()
        self._leaving = False
        self._none = asyncio.Event()
        self._none.set()

    @property
    def count(self) -> int:
        """Number of open sockets."""
        return len(self._open)

    def require_room(self, tenant_id: str) -> None:
        """Return if another socket of a tenant may be opened.

        Raises
        ------
        RequestError
            There are too many, of the tenant or of all, or the process ends.
        """
        if self._leaving:
            raise LEAVING
        if self._by_tenant[tenant_id] >= self._most_of_tenant:
            raise RequestError(
                f"Your organization has {self._most_of_tenant:,} WebSockets on this server, which "
                "is its limit. Close those that are idle, send more requests on each (with a "
                "stream_id), or use HTTP.",
                code="rate_limit_exceeded",
                status=429,
            )
        if len(self._open) >= self._most:
            raise RequestError(
                "This server has too many WebSockets. Connect again in a moment, or use HTTP.",
                code="server_overloaded",
                status=503,
            )

    @contextmanager
    def open(self, session: SocketSession, *, tenant_id: str) -> Iterator[None]:
        """Count a socket of a tenant as open while the context is entered."""
        self._open.add(session)
        self._by_tenant[tenant_id] += 1
        self._none.clear()
        if self._leaving:  # its handshake was under way
            session.leave()
        try:
            yield
        finally:
            self._open.remove(session)
            self._by_tenant[tenant_id] -= 1
            if not self._by_tenant[tenant_id]:
                del self._by_tenant[tenant_id]
            if not self._open:
                self._none.set()

    def leave(self) -> None:
        """Take no more sockets and no more requests; close those that answer none."""
        self._leaving = True
        for session in self._open:
            session.leave()

    async def close(self) -> None:
        """Close all sockets, whatever runs on them."""
        for session in self._open:
            session.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._none.wait()


def _count_nothing(_kind: str, _code: str) -> None:
    """Count nothing: nobody watches."""
