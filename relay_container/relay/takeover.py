"""What a relay leaves behind when it dies, dealt with by another, or by its own next life."""

import asyncio
import logging
from collections import defaultdict
from dataclasses import replace
from functools import partial

from axon.event_log import EventLog
from axon.relays import RelayDirectory
from relay.insist import insist
from relay.settlement import Settlement

logger = logging.getLogger(__name__)


class Takeover:
    """Closes the connections that a dead relay was feeding.

    Nobody knows whether its last posts arrived; its clients see a disconnect, never a gap.
    """

    def __init__(self, *, log: EventLog, directory: RelayDirectory, settlement: Settlement) -> None:
        self._log = log
        self._directory = directory
        self._settlement = settlement

    async def step(self) -> None:
        """Deal with every relay whose lease has ended; this one merely was late."""
        for relay_id in await self._directory.take_expired():
            if relay_id != self._settlement.relay_id:
                await insist(partial(self.settle, relay_id))

    async def left_by(self, relay_id: str) -> set[str]:
        """Return the responses that the relay has not delivered to their end."""
        return await self._directory.undelivered(relay_id)

    async def settle(self, relay_id: str) -> None:
        """Close the connections that the relay was feeding."""
        undelivered = await self.left_by(relay_id)
        if undelivered:
            logger.warning("relay %s left %d responses", relay_id, len(undelivered))
        settlement = replace(self._settlement, relay_id=relay_id)
        connections: dict[str, list[str]] = defaultdict(list)
        for response_id in undelivered:
            if meta := await self._log.describe(response_id):
                connections[meta.connection_id].append(response_id)
            else:
                await settlement.delivered(response_id)
        async with asyncio.TaskGroup() as closing:
            for connection_id, response_ids in connections.items():
                closing.create_task(settlement.close(connection_id, response_ids))
