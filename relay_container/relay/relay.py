"""Run a relay: subscribe, register, deliver; at shutdown halt and hand over."""

import asyncio
import logging
from dataclasses import dataclass

from axon.adapters.valkey.memory import MemoryGuard
from axon.event_log.kept_ends import KeptEnds
from axon.periodic import every
from axon.responses.sweeper import ResponseSweeper
from axon.tasks import end, run_until
from relay.departure import Departure
from relay.dispatcher import Dispatcher
from relay.failover import Failover
from relay.lease import Lease
from relay.reconciler import DeliveryReconciler
from relay.retries import UNTIL_BACK
from relay.revoker import Revoker
from relay.subscriber import RelaySubscriber

logger = logging.getLogger(__name__)

STEP_S = 1.0
"""Seconds from one step of the reconciler, the sweeper and the pulse to the next."""
REVOKER_S = 0.25
"""Seconds from one look for revoked keys to the next."""
FAILOVER_S = 0.5
"""Seconds from one look for relays that have died to the next."""


@dataclass(frozen=True, kw_only=True)
class Relay:
    """The parts of a relay, and the order in which they begin and end."""

    relay_id: str
    subscriber: RelaySubscriber
    dispatcher: Dispatcher
    lease: Lease
    failover: Failover
    relay_left: asyncio.Event
    reconciler: DeliveryReconciler
    sweeper: ResponseSweeper
    kept_ends: KeptEnds
    revoker: Revoker
    departure: Departure
    memory: MemoryGuard

    @property
    def ready(self) -> bool:
        """False while responses would be delivered late."""
        return self.subscriber.connected and self.lease.alive

    async def state(self) -> dict[str, object] | None:
        """Return the state for /health, or None while responses would be delivered late."""
        if not self.ready:
            return None
        return {"relay_id": self.relay_id, "undelivered": len(self.dispatcher.deliveries)}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then hand everything over."""
        always = asyncio.Event()  # is never set: what lasts to the end is cancelled there
        async with asyncio.TaskGroup() as group:
            subscription = [
                group.create_task(self.subscriber.run()),
                group.create_task(every(STEP_S, self.subscriber.pulse, until=always)),
            ]
            if await run_until(stop, self._begin()):
                logger.info("relay %s serves", self.relay_id)
                await self._serve(stop, group)
            # Last of all: while the relay leaves, publications still say what has moved.
            await end(*subscription)
        await self.dispatcher.cancel()

    async def _serve(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        delivering = [
            group.create_task(every(self.lease.beat_s, self.lease.beat, until=stop)),
            group.create_task(every(STEP_S, self.reconciler.step, until=stop)),
            group.create_task(
                every(FAILOVER_S, self.failover.step, until=stop, sooner=self.relay_left)
            ),
        ]
        terminating = [
            group.create_task(every(STEP_S, step, until=stop))
            for step in (self.sweeper.end_overdue, self.sweeper.end_abandoned, self.memory.step)
        ]
        terminating.append(group.create_task(every(REVOKER_S, self.revoker.step, until=stop)))
        terminating.append(group.create_task(self.kept_ends.run()))
        await stop.wait()
        self.relay_left.set()  # ends the pause of the failover's loop, which then sees `stop`
        await asyncio.gather(self.departure.run(delivering), self.revoker.drain())
        await end(*delivering, *terminating)
        await self.revoker.cancel()

    async def _begin(self) -> None:
        # Nothing is registered before publications arrive: what is published to a relay that does
        # not listen is found by its reconciler only.
        await self.subscriber.subscribed.wait()
        # An earlier process with the same relay id may have left responses. Its lease ends first,
        # so that no new ones come among them, and begins again before they are delivered, so that
        # no other relay takes them over meanwhile.
        await UNTIL_BACK.run(self.lease.end)
        left = await self.failover.take_over_own()
        self.dispatcher.accept()
        await UNTIL_BACK.run(self.lease.beat)
        self.failover.deliver(left)
        await self.failover.close_lost(self.relay_id)
