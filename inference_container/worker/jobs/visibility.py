"""VisibilityExtender jobs: what keeps other workers from receiving them."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from axon.exceptions import UnavailableError
from axon.jobs import JobQueue, ReceivedJob

LOGGER = logging.getLogger(__name__)


class VisibilityExtender:
    """Keeps jobs invisible by a heartbeat, every third of the visibility timeout."""

    def __init__(self, *, queue: JobQueue, visibility_timeout_s: int) -> None:
        self._queue = queue
        self._timeout_s = visibility_timeout_s
        self._held: dict[str, ReceivedJob] = {}
        self._stale: dict[str, ReceivedJob] = {}
        self._extending = asyncio.Lock()

    def hold(self, delivery: ReceivedJob) -> None:
        """Hold what was just received."""
        self._held[delivery.receipt_handle] = delivery

    def holds(self, delivery: ReceivedJob) -> bool:
        """Whether it is held already."""
        return delivery.receipt_handle in self._held

    async def renew(self, delivery: ReceivedJob) -> None:
        """Extend at once what may have been on its way for a while, if it is still held."""
        self._stale[delivery.receipt_handle] = delivery
        async with self._extending:  # those that come meanwhile go together
            stale = [each for each in self._stale.values() if self.holds(each)]
            self._stale.clear()
            if stale:
                await self._extend(stale)

    def drop(self, delivery: ReceivedJob) -> None:
        """Hold it no longer: after the visibility timeout it comes again, unless it is deleted."""
        self._held.pop(delivery.receipt_handle, None)

    async def release(self, delivery: ReceivedJob, *, delay_s: int = 0) -> None:
        """Let another worker receive it, at once or after a delay."""
        self.drop(delivery)
        with suppress(UnavailableError):
            async with self._extending:  # a heartbeat under way must not come after it
                await self._queue.extend([delivery], timeout_s=delay_s)

    async def beat(self) -> None:
        """Extend what is held until cancelled."""
        while True:
            await asyncio.sleep(self._timeout_s / 3)
            async with self._extending:
                await self._extend(list(self._held.values()))

    async def _extend(self, held: Sequence[ReceivedJob]) -> None:
        try:
            await self._queue.extend(held, timeout_s=self._timeout_s)
        except UnavailableError as error:
            LOGGER.warning("cannot extend %d jobs: %s", len(held), error)
