"""ECS task protection: while a worker has jobs, a scale-in stops other tasks before this one."""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

logger = logging.getLogger(__name__)

EXPIRY_MIN = 30
"""Minutes after which ECS ends a protection that is not renewed."""
RENEW_S = 600.0
"""Seconds between renewals: a third of the expiry, which leaves time for many retries."""
IDLE_S = 30.0
"""Seconds without a job before the protection ends: ECS limits how often it may change."""
RETRY_S = 5.0


class ProtectionAgent(Protocol):
    """The ECS agent of this task."""

    async def protect(self, *, minutes: int | None) -> None:
        """Protect the task for this many minutes; None ends the protection."""
        ...


class TaskProtection:
    """Protects this task while it has jobs.

    Only `run` calls the agent, so no two calls overtake each other. A job that arrives between the
    end of the protection and SIGTERM is released by the drain. A protection that cannot be ended
    expires.
    """

    def __init__(self, agent: ProtectionAgent) -> None:
        self._agent = agent
        self._busy = asyncio.Event()
        self._idle = asyncio.Event()
        self.jobs_changed(0)

    def jobs_changed(self, running: int) -> None:
        """Take note of the number of jobs."""
        if running:
            self._idle.clear()
            self._busy.set()
        else:
            self._busy.clear()
            self._idle.set()

    async def run(self) -> None:
        """Protect the task whenever it has jobs, until cancelled; failures are only logged."""
        while True:
            await self._busy.wait()
            keeping = asyncio.create_task(self._keep_protected())
            try:
                await self._idle_long_enough()
            finally:
                keeping.cancel()
            await self._end_protection()

    async def _keep_protected(self) -> None:
        while True:
            pause_s = RENEW_S if await self._call_agent(EXPIRY_MIN) else RETRY_S
            await asyncio.sleep(pause_s)

    async def _idle_long_enough(self) -> None:
        while True:
            await self._idle.wait()
            if not await self._busy_within(IDLE_S):
                return

    async def _end_protection(self) -> None:
        # A job that arrives meanwhile needs the protection: `run` then renews it.
        while not await self._call_agent(None):
            if await self._busy_within(RETRY_S):
                return

    async def _busy_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._busy.wait(), seconds)
        return self._busy.is_set()

    async def _call_agent(self, minutes: int | None) -> bool:
        try:
            await self._agent.protect(minutes=minutes)
        except Exception as error:  # an unprotected task still works
            logger.warning("task protection of %d minutes failed: %r", minutes or 0, error)
            return False
        return True
