"""How deliveries end: told to the directory, to the client, and to who ends responses."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from axon.connections import (
    ConnectionGoneError,
    Connections,
    ConnectionsError,
    PostThrottledError,
    PostUncertainError,
)
from axon.relays import RelayDirectory
from axon.responses import ResponseEnder
from relay.insist import insist

logger = logging.getLogger(__name__)

CLOSING_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Settles what one relay had to deliver, its own or that of one that died."""

    relay_id: str
    connections: Connections
    directory: RelayDirectory
    ender: ResponseEnder

    async def delivered(self, response_id: str) -> None:
        """Nothing more is to be posted of the response."""
        await insist(lambda: self.directory.delivered(self.relay_id, response_id))

    async def gone(self, connection_id: str, response_ids: Iterable[str]) -> None:
        """The client is gone: what it waited for is in vain."""
        await insist(lambda: self.ender.abandon(connection_id))
        for response_id in response_ids:
            await self.delivered(response_id)

    async def close(self, connection_id: str, response_ids: Iterable[str]) -> None:
        """Let the client see a disconnect rather than a wrong stream, or none."""
        try:
            async with asyncio.timeout(CLOSING_S):
                await insist(
                    lambda: self.connections.delete(connection_id),
                    harmless=(PostThrottledError, PostUncertainError),
                )
        except ConnectionGoneError:
            pass
        except (ConnectionsError, TimeoutError) as error:
            logger.warning("connection %s could not be closed: %r", connection_id, error)
        await self.gone(connection_id, response_ids)
