"""The directory of live client connections."""

from typing import Protocol

from axon.tenants.principal import Principal

CONNECTION_LIFE_S = 7500
"""A little longer than API Gateway keeps any connection: 2 hours, a quota of WebSocket APIs."""


class ConnectionDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def register(
        self, connection_id: str, *, principal: Principal, cancel_on_disconnect: bool = False
    ) -> None:
        """Register a connection, and who opened it, for as long as the gateway may keep it.

        Parameters
        ----------
        connection_id : str
            The gateway's id of the connection.
        principal : Principal
            Who opened it.
        cancel_on_disconnect : bool
            True to cancel what is delivered to it as soon as it ends, unless a request says
            otherwise for its own response.
        """
        ...

    async def remove(self, connection_id: str) -> None:
        """Mark a connection as gone, and delete the turns that belong to it alone."""
        ...
