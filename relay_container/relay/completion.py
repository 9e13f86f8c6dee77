"""How deliveries end: told to the directory, to the client, and to the log."""

import asyncio
import logging
from collections.abc import Iterable
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
TELLING_S = 2.0
INTERRUPTED = RequestError(
    "The stream was interrupted and may lack an event. Connect again and send response.resume with "
    "starting_after set to the last sequence_number that you received.",
    code="stream_interrupted",
    status=503,
)


@dataclass(frozen=True, kw_only=True)
class DeliveryCompletion:
    """Settles what this relay had to deliver."""

    relay_id: str
    connections: ConnectionsApi
    directory: RelayDirectory
    log: EventLog

    async def delivered(self, response_id: str, connection_id: str) -> None:
        """Nothing more of the response is to be posted to this connection."""
        await UNTIL_DONE.run(
            lambda: self.directory.delivered(
                self.relay_id, response_id, connection_id=connection_id
            )
        )

    async def forget_delivery(self, response_id: str) -> None:
        """Nothing more of the response is to be posted from here."""
        await UNTIL_DONE.run(lambda: self.directory.delivered(self.relay_id, response_id))

    async def gone(self, connection_id: str, response_ids: Iterable[str]) -> None:
        """The client is gone; it may come back and resume what it waited for."""
        await UNTIL_DONE.run(lambda: self.log.abandon(connection_id))
        for response_id in tuple(response_ids):  # more may have come meanwhile
            await self.delivered(response_id, connection_id)

    async def close(self, connection_id: str, response_ids: Iterable[str]) -> None:
        """Let the client see a disconnect rather than a wrong stream, or none."""
        with suppress(AxonError, TimeoutError):
            async with asyncio.timeout(TELLING_S):
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
