"""Completing deliveries: in the directory, in the log, and for the client."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from axon.directory.relays import RelayDirectory
from axon.event_log.log import EventLog
from axon.exceptions import AxonError, RequestError
from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApi,
    ConnectionsApiError,
)
from axon.protocol.errors import error_frame
from relay.retries import UNTIL_CLOSED, UNTIL_DONE

logger = logging.getLogger(__name__)

CLOSING_S = 30.0
"""Time limit in seconds for closing a connection, repetitions included."""
NOTIFYING_S = 2.0
"""Time limit in seconds for telling its client why."""
INTERRUPTED = RequestError(
    "The stream was interrupted and may lack an event. Connect again and send response.resume with "
    "starting_after set to the last sequence_number that you received.",
    code="stream_interrupted",
    status=503,
)


@dataclass(frozen=True, kw_only=True)
class DeliveryCompletion:
    """Completes what this relay had to deliver."""

    relay_id: str
    connections: ConnectionsApi
    directory: RelayDirectory
    log: EventLog

    async def delivered(self, response_id: str, connection_id: str) -> None:
        """Mark a response as delivered to this connection; keep it if it was resumed elsewhere."""
        await UNTIL_DONE.run(
            lambda: self.directory.delivered(
                self.relay_id, response_id, connection_id=connection_id
            )
        )

    async def forget(self, response_id: str) -> None:
        """Take a response that has no log any more off what this relay has to deliver."""
        await UNTIL_DONE.run(lambda: self.directory.delivered(self.relay_id, response_id))

    async def gone(self, connection_id: str, response_ids: set[str]) -> None:
        """Mark a connection's responses as abandoned: its client can resume them in time.

        Parameters
        ----------
        connection_id : str
            The connection that no longer exists; responses resumed on another one are kept.
        response_ids : set[str]
            The responses to complete; empty afterwards. The caller may add more during the call.
        """
        while True:
            # Taken before the log is changed: a response that is added later may have been opened
            # after that change, and needs another one.
            batch = tuple(response_ids)
            response_ids.clear()
            # First the log, then the directory: a relay that dies in between leaves the responses
            # with the next relay, which finds the connection gone and does this again.
            await UNTIL_DONE.run(lambda: self.log.abandon(connection_id))
            for response_id in batch:
                await self.delivered(response_id, connection_id)
            if not response_ids:
                return

    async def close(self, connection_id: str, response_ids: set[str]) -> None:
        """Tell the client of the interruption, close its connection, and do as `gone` does.

        A client that is disconnected can resume. One that received a wrong stream, or none, could
        not know that it has to.
        """
        with suppress(AxonError, TimeoutError):
            # Before the connection ends: its end would cancel what is to be cancelled then, and the
            # client, which did not leave, could not resume it.
            async with asyncio.timeout(NOTIFYING_S):
                await UNTIL_DONE.run(lambda: self.log.interrupt(connection_id))
        with suppress(AxonError, TimeoutError):
            async with asyncio.timeout(NOTIFYING_S):
                await UNTIL_DONE.run(
                    lambda: self.connections.post(connection_id, error_frame(INTERRUPTED))
                )
        try:
            async with asyncio.timeout(CLOSING_S):
                await UNTIL_CLOSED.run(lambda: self.connections.delete(connection_id))
        except ConnectionGoneError:
            pass
        except (ConnectionsApiError, TimeoutError) as error:
            logger.warning("connection %s could not be closed: %r", connection_id, error)
        await self.gone(connection_id, response_ids)
