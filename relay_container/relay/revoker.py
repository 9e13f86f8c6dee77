"""The revoker: ends what clients with a revoked API key have open."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from axon.event_log.log import EventLog, Status
from axon.exceptions import AxonError
from axon.management_api import ConnectionGoneError, ConnectionsApi, ConnectionsApiError
from axon.protocol.errors import error_frame
from axon.responses.terminator import ResponseTerminator
from axon.tenants.revocation import REVOKED, OpenConnections, RevokedConnection
from axon.tracebacks import describe
from relay.retries import UNTIL_CLOSED, UNTIL_DONE

logger = logging.getLogger(__name__)

PAGE = 100
"""Connections of one step at most."""
AT_ONCE = 32
"""Connections that are worked on at the same time."""
CALL_S = 2.0
"""Time limit in seconds for notifying a client, and for closing its connection; after it the next
step tries again."""
CANCELLING_S = 10.0
"""Time limit in seconds for cancelling the responses of a connection; those that it leaves end with
the resume window, as those of any closed connection."""


@dataclass(frozen=True, kw_only=True)
class Revoker:
    """Notifies clients that their key is revoked, cancels its responses, closes its connections.

    The close comes `axon.tenants.revocation.CLOSE_AFTER_S` after the revocation. Whatever fails is
    done again by the next step: Valkey knows how far each connection is.
    """

    relay_id: str
    connections: ConnectionsApi
    open_connections: OpenConnections
    log: EventLog
    terminator: ResponseTerminator

    async def step(self) -> None:
        """Work on the connections of keys that were revoked."""
        page = await self.open_connections.revoked(self.relay_id, limit=PAGE)
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for connection in page:
                group.create_task(self._work_on(connection, slots))

    async def _work_on(self, connection: RevokedConnection, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                await (self._close if connection.closing else self._notify)(connection)
            except ConnectionGoneError:
                await self._remove(connection)
            except (AxonError, TimeoutError) as error:
                name = connection.connection_id
                logger.warning("connection %s of a revoked key: %r", name, error)

    async def _notify(self, connection: RevokedConnection) -> None:
        present = await self._post(connection.connection_id)
        # Also what a client that is gone has left behind: it could be resumed with another key.
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELLING_S):
                await self._cancel(connection)
        await (self.open_connections.notified if present else self._remove)(connection)

    async def _post(self, connection_id: str) -> bool:
        """Notify the client; return False if it is gone."""
        frame = error_frame(REVOKED)
        try:
            async with asyncio.timeout(CALL_S):
                await UNTIL_DONE.run(lambda: self.connections.post(connection_id, frame))
        except ConnectionGoneError:
            return False
        except (ConnectionsApiError, TimeoutError) as error:
            # The connection is closed all the same.
            logger.warning("the client of connection %s is not notified: %r", connection_id, error)
        return True

    async def _cancel(self, connection: RevokedConnection) -> None:
        for response_id in await self.log.running_for(connection.connection_id):
            try:
                meta = await self.log.describe(response_id)
                # One that was begun with another key of the tenant, and resumed here, can be
                # resumed again.
                if meta is not None and meta.key_id in (connection.key_id, ""):
                    await self.terminator.end(response_id, Status.CANCELLED, known=meta)
            except Exception as error:
                # Whatever it is, the other responses are cancelled and the connection is closed.
                unexpected = not isinstance(error, AxonError)
                logger.warning(
                    "%s of a revoked key is not cancelled: %s",
                    *(response_id, describe(error)),
                    exc_info=unexpected,
                )

    async def _close(self, connection: RevokedConnection) -> None:
        connection_id = connection.connection_id
        async with asyncio.timeout(CALL_S):
            await UNTIL_CLOSED.run(lambda: self.connections.delete(connection_id))
        await self._remove(connection)

    async def _remove(self, connection: RevokedConnection) -> None:
        await self.open_connections.remove(connection.key_id, connection.connection_id)
