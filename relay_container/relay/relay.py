"""The life of a relay: subscribe, clear up, register, serve; on request leave, finish, go."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from axon.responses import ResponseEnder
from relay.feeds import Feeds
from relay.insist import insist
from relay.lease import Lease
from relay.periodic import every
from relay.rescan import Rescan
from relay.subscriber import Subscriber
from relay.takeover import Takeover

logger = logging.getLogger(__name__)

SECOND_S = 1.0
CLOSING_S = 5.0
"""How long leaving clients are told so, at most."""


@dataclass(frozen=True, kw_only=True)
class Relay:
    """The parts of a relay, put together."""

    relay_id: str
    subscriber: Subscriber
    feeds: Feeds
    lease: Lease
    takeover: Takeover
    rescan: Rescan
    ender: ResponseEnder
    stop_timeout_s: float

    async def state(self) -> dict[str, object] | None:
        """Return what /health tells, or None while responses would be delivered late."""
        if not (self.subscriber.hears and self.lease.alive):
            return None
        return {"relay_id": self.relay_id, "undelivered": len(self.feeds.deliveries)}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then let go."""
        always = asyncio.Event()  # is never set: what lasts to the end is cancelled there
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.subscriber.run()),
                group.create_task(every(SECOND_S, self.subscriber.pulse, until=always)),
            ]
            if await _unless(stop, self._begin()):
                logger.info("relay %s serves", self.relay_id)
                tasks.append(group.create_task(every(SECOND_S, self.rescan.step, until=always)))
                tasks += await self._serve(stop, group)
            for task in tasks:
                task.cancel()
        await self.feeds.cancel()

    async def _serve(
        self, stop: asyncio.Event, group: asyncio.TaskGroup
    ) -> list[asyncio.Task[None]]:
        beating = group.create_task(every(self.lease.beat_s, self.lease.beat, until=stop))
        adopting = group.create_task(every(SECOND_S, self.takeover.step, until=stop))
        failing = group.create_task(every(SECOND_S, self.ender.fail_overdue, until=stop))
        await stop.wait()
        await self._leave(beating, adopting)
        return [beating, adopting, failing]

    async def _begin(self) -> None:
        await self.subscriber.subscribed.wait()
        # A former life under the same name may have left responses, which workers may go on with:
        # nothing of them is delivered. Its lease ends first, so that no new ones come among them.
        await insist(self.lease.end)
        self.feeds.ignore(await insist(lambda: self.takeover.left_by(self.relay_id)))
        await insist(lambda: self.takeover.settle(self.relay_id))
        self.feeds.accept()
        await insist(self.lease.beat)

    async def _leave(self, beating: asyncio.Task[None], adopting: asyncio.Task[None]) -> None:
        logger.info("relay %s leaves %d responses", self.relay_id, len(self.feeds.deliveries))
        with suppress(TimeoutError):
            async with asyncio.timeout(self.stop_timeout_s):
                await beating  # a beat after the end would bring the relay back
                await insist(self.lease.end)
                await self.feeds.drain()
                await adopting
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self.feeds.close_all()


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
