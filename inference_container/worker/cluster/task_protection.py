"""Task protection: as long as a worker has work, ECS stops other tasks rather than this one."""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

LOGGER = logging.getLogger(__name__)

EXPIRY_MIN = 30
RENEW_S = 600.0
"""Long before the protection expires: there is time for many tries."""
IDLE_S = 30.0
"""So long without work ends the protection: ECS limits how often it may change."""
RETRY_S = 5.0


class Agent(Protocol):
    """Who protects the task."""

    async def protect(self, *, minutes: int | None) -> None:
        """Protect it for so long, or no longer (None)."""
        ...


class Protection:
    """Protects this task while it works; `run` is the one task that does it.

    A job that comes between the end of the protection and SIGTERM is given back by the drain. A
    protection that cannot be ended expires.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._busy = asyncio.Event()
        self._idle = asyncio.Event()
        self.changed(0)

    def changed(self, running: int) -> None:
        """Take note of how many jobs there are."""
        if running:
            self._idle.clear()
            self._busy.set()
        else:
            self._busy.clear()
            self._idle.set()

    async def run(self) -> None:
        """Protect the task whenever it works, until cancelled; failures are only logged."""
        while True:
            await self._busy.wait()
            keeping = asyncio.create_task(self._keep())
            try:
                await self._rested()
            finally:
                keeping.cancel()
            await self._let_go()

    async def _keep(self) -> None:
        while True:
            pause_s = RENEW_S if await self._ask(EXPIRY_MIN) else RETRY_S
            await asyncio.sleep(pause_s)

    async def _rested(self) -> None:
        """Wait until there was no work for long enough."""
        while True:
            await self._idle.wait()
            if not await self._busy_within(IDLE_S):
                return

    async def _let_go(self) -> None:
        while not await self._ask(None):
            if await self._busy_within(RETRY_S):
                return

    async def _busy_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._busy.wait(), seconds)
        return self._busy.is_set()

    async def _ask(self, minutes: int | None) -> bool:
        try:
            await self._agent.protect(minutes=minutes)
        except Exception as error:  # whatever it is, the work goes on
            LOGGER.warning("task protection of %d minutes failed: %r", minutes or 0, error)
            return False
        return True
