"""The life of a relay: subscribe, go on, register, serve; on request halt, hand over, go."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from axon.directory.relays import RelayDirectory
from axon.periodic import every
from axon.responses.terminator import ResponseTerminator
from relay.dispatcher import Dispatcher
from relay.failover import Failover
from relay.lease import Lease
from relay.reconciler import DeliveryReconciler
from relay.retries import UNTIL_DONE
from relay.subscriber import RelaySubscriber

logger = logging.getLogger(__name__)

SECOND_S = 1.0
ADOPTION_S = 0.5
"""From one look for relays that have died to the next."""
HANDED_OVER_S = 0.1
"""From one look to the next whether others have taken over everything."""


@dataclass(frozen=True, kw_only=True)
class Relay:
    """The parts of a relay, put together."""

    relay_id: str
    subscriber: RelaySubscriber
    dispatcher: Dispatcher
    lease: Lease
    failover: Failover
    relay_left: asyncio.Event
    reconciler: DeliveryReconciler
    terminator: ResponseTerminator
    directory: RelayDirectory
    stop_timeout_s: float

    async def state(self) -> dict[str, object] | None:
        """Return what /health tells, or None while responses would be delivered late."""
        if not (self.subscriber.hears and self.lease.alive):
            return None
        return {"relay_id": self.relay_id, "undelivered": len(self.dispatcher.deliveries)}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then let go."""
        always = asyncio.Event()  # is never set: what lasts to the end is cancelled there
        async with asyncio.TaskGroup() as group:
            listening = [
                group.create_task(self.subscriber.run()),
                group.create_task(every(SECOND_S, self.subscriber.pulse, until=always)),
            ]
            if await _unless(stop, self._begin()):
                logger.info("relay %s serves", self.relay_id)
                await self._serve(stop, group)
            for task in listening:
                task.cancel()
        await self.dispatcher.cancel()

    async def _serve(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        delivering = [
            group.create_task(every(self.lease.beat_s, self.lease.beat, until=stop)),
            group.create_task(every(SECOND_S, self.reconciler.step, until=stop)),
            group.create_task(
                every(ADOPTION_S, self.failover.step, until=stop, sooner=self.relay_left)
            ),
        ]
        ending = [
            group.create_task(every(SECOND_S, step, until=stop))
            for step in (self.terminator.fail_overdue, self.terminator.cancel_abandoned)
        ]
        await stop.wait()
        self.relay_left.set()
        await self._leave(delivering)
        for task in (*delivering, *ending):
            task.cancel()

    async def _begin(self) -> None:
        await self.subscriber.subscribed.wait()
        # A former life under the same name may have left responses. Its lease ends first, so that
        # no new ones come among them, and begins again before they are delivered, so that no
        # other relay adopts them meanwhile.
        await UNTIL_DONE.run(self.lease.end)
        left = await self.failover.own()
        self.dispatcher.accept()
        await UNTIL_DONE.run(self.lease.beat)
        self.failover.go_on(left)

    async def _leave(self, delivering: list[asyncio.Task[None]]) -> None:
        logger.info("relay %s leaves %d responses", self.relay_id, len(self.dispatcher.deliveries))
        with suppress(TimeoutError):
            async with asyncio.timeout(self.stop_timeout_s):
                # A beat, or a takeover, after the end would bring the relay back.
                await asyncio.wait(delivering)
                # First every checkpoint is certain, then others may adopt: no connection is closed.
                await self.dispatcher.halt()
                await UNTIL_DONE.run(self.lease.end)
                await self._handed_over()

    async def _handed_over(self) -> None:
        """Wait until others have taken over everything."""
        while await UNTIL_DONE.run(lambda: self.directory.undelivered(self.relay_id)):  # noqa: ASYNC110
            await asyncio.sleep(HANDED_OVER_S)  # nothing here is told when Valkey changes


async def _unless(stop: asyncio.Event, beginning: Coroutine[Any, Any, None]) -> bool:
    """Return whether the coroutine came to its end before `stop` was set."""
    stopping = asyncio.create_task(stop.wait())
    task = asyncio.create_task(beginning)
    try:
        await asyncio.wait((stopping, task), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        stopping.cancel()
        task.cancel()
