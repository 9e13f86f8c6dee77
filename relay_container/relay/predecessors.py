"""The search for a response that comes first in a lane, and that its relay does not know."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from axon.event_log.log import EventLog
from axon.formats import UnreadableLogError
from axon.tasks import TaskSet
from relay.completion import DeliveryCompletion
from relay.cursor import DeliveryCursor
from relay.registry import DeliveryRegistry
from relay.retries import UNTIL_DONE
from relay.writers import WriterPool

logger = logging.getLogger(__name__)

PAUSE_S = 0.5
"""Seconds from one look to the next while another relay has the response: as between takeovers."""
SEARCH_S = 30.0
"""Time limit in seconds for all looks; a lease and a takeover take some seconds together."""


class PredecessorSearch:
    """Finds a response whose publication was lost, before the next one of its lane is delivered.

    Parameters
    ----------
    log : EventLog
        Says which relay and connection have the response.
    completion : DeliveryCompletion
        Its directory says whether the response is still to be delivered.
    registry : DeliveryRegistry
        The deliveries that are known here.
    writers : WriterPool
        Their lanes wait during the search.
    tasks : TaskSet
        Runs the searches.
    find : Callable[[str], Awaitable[None]]
        Begins the delivery of a response of this relay.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        completion: DeliveryCompletion,
        registry: DeliveryRegistry,
        writers: WriterPool,
        tasks: TaskSet,
        find: Callable[[str], Awaitable[None]],
    ) -> None:
        self._log = log
        self._relay_id = completion.relay_id
        self._directory = completion.directory
        self._registry = registry
        self._writers = writers
        self._tasks = tasks
        self._find = find

    def begin(self, delivery: DeliveryCursor) -> None:
        """Search for the response before a delivery, whose lane waits, unless it is known here."""
        before = delivery.position.before
        if before and not self._is_known(before, delivery.connection_id):
            self._writers.close_lane(delivery, before)
            self._tasks.start(self._search(delivery, before))

    def _is_known(self, response_id: str, connection_id: str) -> bool:
        running = self._registry.running.get(response_id)
        if running is not None:
            return running.connection_id == connection_id
        return self._registry.has_ended(response_id, connection_id)

    async def _search(self, delivery: DeliveryCursor, before: str) -> None:
        try:
            async with asyncio.timeout(SEARCH_S):
                while await self._is_elsewhere(before, delivery.connection_id):  # noqa: ASYNC110
                    await asyncio.sleep(PAUSE_S)  # Valkey notifies nobody of a takeover
        except (TimeoutError, UnreadableLogError) as error:
            logger.warning("%s does not wait for %s: %r", delivery.response_id, before, error)
        finally:
            self._writers.open_lane(delivery, before)

    async def _is_elsewhere(self, response_id: str, connection_id: str) -> bool:
        """Look once; return whether another relay has still to deliver it to the connection."""
        if self._is_known(response_id, connection_id):
            return False
        meta = await UNTIL_DONE.run(lambda: self._log.describe(response_id))
        if meta is None:
            return False
        if meta.connection_id != connection_id:
            # It was resumed elsewhere, so that it does not say any more what came before it here.
            await self._find_all()
            return False
        if response_id not in await self._undelivered(meta.relay_id):
            return False
        if meta.relay_id == self._relay_id and not self._is_known(response_id, connection_id):
            await self._find(response_id)
        return meta.relay_id != self._relay_id

    async def _find_all(self) -> None:
        """Find whatever this relay has to deliver and does not know of."""
        for response_id in await self._undelivered(self._relay_id) - self._registry.running.keys():
            await self._find(response_id)

    async def _undelivered(self, relay_id: str) -> set[str]:
        return await UNTIL_DONE.run(lambda: self._directory.undelivered(relay_id))
