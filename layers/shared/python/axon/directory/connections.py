"""The directory of live client connections."""

from typing import Protocol

CONNECTION_LIFE_S = 7500
"""A little longer than API Gateway keeps any connection (2 hours)."""


class ConnectionDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def enter(self, connection_id: str, *, tenant_id: str) -> None:
        """Enter a connection for as long as the gateway may keep it."""
        ...

    async def remove(self, connection_id: str) -> None:
        """Mark it as gone, and forget the turns that live and die with the connection."""
        ...
