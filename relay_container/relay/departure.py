"""The end of a relay: hands its deliveries over, and closes what no other relay can take over."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from axon.directory.relays import RelayDirectory
from axon.event_log.log import EventLog
from axon.formats import UnreadableLogError, log_refusal
from relay.cursor import DeliveryCursor
from relay.dispatcher import Dispatcher
from relay.lease import Lease
from relay.retries import UNTIL_DONE

logger = logging.getLogger(__name__)

TAKEN_OVER_S = 0.1
"""Seconds from one look to the next whether others have taken over everything."""
RESTORED_S = 4.0
"""Seconds that a worker has to restore a lost log, as in `relay.reconciler`: a client that asked
before that would get `response_not_found`."""
LOOK_S = 0.5
"""Seconds from one look for restored logs to the next."""
CLOSING_S = 5.0
"""Time limit in seconds for closing connections after the time to stop. ECS kills a task 10 s after
that time (`infra.constructs.tasks.service_container.STOP_MARGIN_S`)."""


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Leaves no client waiting for a relay that has ended.

    Other relays find in the event log what they take over. A response whose log Valkey has lost is
    known to this relay alone, and to the worker that may restore it. If none does, nothing would
    ever come on its connection, so the connection is closed: the client connects again, and asks.
    """

    relay_id: str
    dispatcher: Dispatcher
    lease: Lease
    directory: RelayDirectory
    log: EventLog
    stop_timeout_s: float

    async def run(self, delivering: Collection[asyncio.Task[None]]) -> None:
        """Leave, once the tasks that renew the lease and take over have ended.

        This takes `stop_timeout_s` and `CLOSING_S` at most.
        """
        left = set(self.dispatcher.deliveries.values())
        generation = self.log.generation
        logger.info("relay %s leaves %d responses", self.relay_id, len(left))
        with suppress(TimeoutError):
            async with asyncio.timeout(self.stop_timeout_s):
                # A renewal of the lease after its end would bring the relay back; a takeover after
                # it would leave responses with a relay that delivers nothing any more.
                await asyncio.wait(delivering)
                # First every checkpoint is closed, then others may take over: no connection of an
                # orderly shutdown is closed.
                await self.dispatcher.halt()
                await UNTIL_DONE.run(self.lease.end)
                unclosed = set(self.dispatcher.deliveries.values())
                await asyncio.gather(
                    self._everything_taken_over(), self._lost_ones_closed(unclosed)
                )
                if self.log.generation != generation:
                    # A failover meanwhile may have lost what was left for others: then it was not
                    # taken over, though the directory has nothing of it any more.
                    await self._lost_ones_closed(left)
        # Nobody knows whether the log has what is left now: Valkey was away, or there was no time
        # to wait for a worker.
        self.dispatcher.close_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self.dispatcher.drain()

    async def _everything_taken_over(self) -> None:
        while await UNTIL_DONE.run(lambda: self.directory.undelivered(self.relay_id)):  # noqa: ASYNC110
            await asyncio.sleep(TAKEN_OVER_S)  # Valkey does not notify anybody of that

    async def _lost_ones_closed(self, deliveries: set[DeliveryCursor]) -> None:
        """Close the connections of those responses that have no log after `RESTORED_S`."""
        try:
            await self._all_found(deliveries)
        finally:
            # Also when the time to stop is over before that.
            for delivery in deliveries:
                self.dispatcher.close(delivery.connection_id, [delivery.response_id])
        await self.dispatcher.drain()

    async def _all_found(self, deliveries: set[DeliveryCursor]) -> None:
        """Take out the deliveries that the log has, until all are out or `RESTORED_S` are over."""
        for _ in range(round(RESTORED_S / LOOK_S)):
            for delivery in tuple(deliveries):
                if await self._has_log(delivery):
                    self.dispatcher.drop(delivery.response_id)
                    deliveries.remove(delivery)
            if not deliveries:
                return
            await asyncio.sleep(LOOK_S)

    async def _has_log(self, delivery: DeliveryCursor) -> bool:
        """Return whether the log has the response for its client: another relay finds it then."""
        try:
            meta = await UNTIL_DONE.run(lambda: self.log.describe(delivery.response_id))
        except UnreadableLogError as error:
            log_refusal(error)
            return True
        if meta is None:
            return False
        # A failover may have undone the move to the connection: its client would wait for ever.
        moved = meta.connection_id != delivery.connection_id
        return not moved or delivery.generation == self.log.generation
