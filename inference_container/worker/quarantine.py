"""Quarantine: one attempt alone on its worker: nothing else can be to blame if it dies."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from axon.directory.quarantine import PERMIT_LEASE_S, QuarantinePermits
from axon.exceptions import UnavailableError
from axon.tasks import end
from worker.shutdown import HandedOverError, Shutdown

logger = logging.getLogger(__name__)

QUIET_S = 10.0
"""Seconds in which the other answers of the worker may end before they are released."""
_RELEASE_S = 5.0
"""Seconds that they have to release their messages."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 15.0
"""Limits of the seconds between two quarantines in the fleet."""


class QuarantineBusyError(Exception):
    """Another suspect is in quarantine, or this worker does not become quiet: a later attempt."""


class Quarantine:
    """The state of a worker that runs one attempt alone.

    In quarantine it receives nothing more, and peers hand nothing over to it. The answers that run
    get `QUIET_S` to end. Then their attempts are cancelled, which releases their messages: they
    continue on a peer, or here after the quarantine.

    Parameters
    ----------
    permits : QuarantinePermits
        Let one worker of the fleet at a time be in quarantine.
    shutdown : Shutdown
        A worker that drains begins no quarantine.
    incarnation : str
        Name of this worker's process.
    """

    def __init__(self, *, permits: QuarantinePermits, shutdown: Shutdown, incarnation: str) -> None:
        self.incarnation = incarnation
        self._permits = permits
        self._shutdown = shutdown
        self._jobs: Collection[asyncio.Task[Any]] = ()
        self._listeners: list[Callable[[], None]] = []
        self._beginning = False
        self._holder = ""
        self._began = 0.0
        self._renewing: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """True while the worker takes no other jobs."""
        return bool(self._holder)

    def watch(self, jobs: Collection[asyncio.Task[Any]]) -> None:
        """Take the collection of the worker's jobs, which changes as they begin and end."""
        self._jobs = jobs

    def listen(self, changed: Callable[[], None]) -> None:
        """Call back whenever a quarantine begins or ends."""
        self._listeners.append(changed)

    async def begin(self) -> None:
        """Wait until the calling job is alone on this worker: at most 15 s.

        Raises
        ------
        QuarantineBusyError
            It cannot be alone now.
        HandedOverError
            The worker drains.
        UnavailableError
            Valkey is away.
        """
        if self._beginning or self.active:
            raise QuarantineBusyError("another suspect is in quarantine here")
        holder = f"{self.incarnation} {secrets.token_hex(4)}"
        self._beginning = True
        try:
            if not await self._permits.acquire(holder):
                raise QuarantineBusyError("another suspect is in quarantine")
        finally:
            self._beginning = False
        self._holder, self._began = holder, _now()
        self._renewing = asyncio.create_task(self._renew(holder))
        self._notify()
        try:
            await self._become_alone()
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """End the quarantine: the worker takes jobs again. Ending it twice changes nothing."""
        if not self.active:
            return
        holder, self._holder = self._holder, ""
        self._notify()
        if self._renewing is not None:
            await end(self._renewing)
        # Suspects get at most half of a worker's time, also where there is only one worker.
        pause_s = min(max(_now() - self._began, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
        with suppress(UnavailableError):  # its lease ends
            await self._permits.release(holder, pause_s=pause_s)

    async def _become_alone(self) -> None:
        others = set(self._jobs) - {asyncio.current_task()}
        if others:
            await self._wait(others, QUIET_S)
        if self._shutdown.draining.is_set():
            raise HandedOverError
        # Twice: a library may turn a cancellation into an error of its own.
        for _ in range(2):
            if left := [task for task in others if not task.done()]:
                for task in left:
                    task.cancel()
                await self._wait(left, _RELEASE_S / 2)
        if self._shutdown.draining.is_set():
            raise HandedOverError
        if set(self._jobs) - {asyncio.current_task()}:
            raise QuarantineBusyError("the worker does not become quiet")
        logger.warning("a request runs in quarantine: its attempts have ended without progress")

    async def _wait(self, tasks: Collection[asyncio.Task[Any]], seconds: float) -> None:
        """Wait until tasks have ended, the worker drains, or the time is over."""
        draining = asyncio.create_task(self._shutdown.draining.wait())
        ended = asyncio.create_task(asyncio.wait(tasks))
        try:
            await asyncio.wait(
                (draining, ended), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await end(draining, ended)

    async def _renew(self, holder: str) -> None:
        while True:
            await asyncio.sleep(PERMIT_LEASE_S / 5)
            try:
                await self._permits.acquire(holder)
            except UnavailableError as error:
                # Without a permit a second quarantine may begin elsewhere, which does no harm.
                logger.warning("cannot renew the permit for quarantine: %s", error)

    def _notify(self) -> None:
        for changed in self._listeners:
            changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
