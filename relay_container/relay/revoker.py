"""The revoker: ends what clients with a revoked API key have open."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from axon.event_log.log import EventLog, Status
from axon.exceptions import AxonError
from axon.management_api import ConnectionGoneError, ConnectionsApi, ConnectionsApiError
from axon.protocol.errors import error_frame
from axon.responses.terminator import ResponseTerminator
from axon.tasks import TaskSet
from axon.tenants.revocation import REVOKED, OpenConnections, RevokedConnection
from axon.tracebacks import describe
from relay.retries import UNTIL_CLOSED, UNTIL_DONE

logger = logging.getLogger(__name__)

PAGE = 100
"""Connections that a step asks for at once."""
PAGES = 5
"""Pages of one step at most: 500 connections, 2000 in a second."""
STEP_S = 0.2
"""Seconds for which a step waits for its connections; the next one goes on with the others, so that
a client that reads nothing does not delay the closes of other connections."""
CANCELLING_AT_ONCE = 32
"""Connections whose responses are cancelled at the same time."""
CALL_S = 2.0
"""Time limit in seconds for notifying a client, and for closing its connection; after it the next
step tries again."""
CANCELLING_S = 10.0
"""Time limit in seconds for cancelling the responses of a connection, without the wait for one of
`CANCELLING_AT_ONCE`; those that it leaves end with the resume window, as those of any closed
connection."""
CANCELLED_WITHIN_S = 30.0
"""Time limit in seconds for the same with that wait, so that those that wait are bounded: by
`PAGES` of `PAGE` in each step of these seconds."""


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

    _work: TaskSet = field(
        init=False, default_factory=lambda: TaskSet(error="a connection of a revoked key")
    )
    _cancelling: TaskSet = field(
        init=False, default_factory=lambda: TaskSet(error="responses of a revoked key")
    )
    _slots: asyncio.Semaphore = field(
        init=False, default_factory=lambda: asyncio.Semaphore(CANCELLING_AT_ONCE)
    )
    _busy: dict[tuple[str, bool], asyncio.Task[None]] = field(init=False, default_factory=dict)

    async def step(self) -> None:
        """Work on the connections of keys that were revoked."""
        loop = asyncio.get_running_loop()
        end = loop.time() + STEP_S
        for _ in range(PAGES):
            page = await self.open_connections.revoked(self.relay_id, limit=PAGE)
            tasks = [self._task(each) for each in page]
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, end - loop.time()))
            # After a page that took its time, the next one could be of the same slow clients.
            if len(page) < PAGE or loop.time() >= end:
                break

    def _task(self, connection: RevokedConnection) -> asyncio.Task[None]:
        """Return the task that works on a connection; one that is under way is not begun again."""
        step = (connection.connection_id, connection.closing)
        if (task := self._busy.get(step)) is None:
            # It comes again with each page until Valkey knows that it is done.
            task = self._busy[step] = self._work.start(self._work_on(connection))
            task.add_done_callback(lambda _: self._busy.pop(step))
        return task

    async def drain(self) -> None:
        """Wait until what was begun is done, `CANCELLING_S` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELLING_S):
                await self._work.drain()
                await self._cancelling.drain()

    async def cancel(self) -> None:
        """Give up what is not done: other relays close the connections."""
        await self._work.cancel()
        await self._cancelling.cancel()

    async def _work_on(self, connection: RevokedConnection) -> None:
        name = connection.connection_id
        try:
            await (self._close if connection.closing else self._notify)(connection)
        except ConnectionGoneError:
            await self._remove(connection)
        except (AxonError, TimeoutError) as error:
            logger.warning("connection %s of a revoked key: %r", name, error)

    async def _notify(self, connection: RevokedConnection) -> None:
        present = await self._post(connection.connection_id)
        # Before the responses are cancelled, which can take longer than the connection may stay
        # open: without it, no step closes the connection.
        await (self.open_connections.notified if present else self._remove)(connection)
        # Also what a client that is gone has left behind: it could be resumed with another key.
        self._cancelling.start(self._cancel_in_time(connection))

    async def _cancel_in_time(self, connection: RevokedConnection) -> None:
        try:
            async with asyncio.timeout(CANCELLED_WITHIN_S), self._slots:
                async with asyncio.timeout(CANCELLING_S):
                    await self._cancel(connection)
        except (AxonError, TimeoutError) as error:
            name = connection.connection_id
            logger.warning("responses of %s, of a revoked key, go on: %r", name, error)

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
        name = connection.connection_id
        for response_id in await UNTIL_DONE.run(lambda: self.log.running_for(name)):
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
