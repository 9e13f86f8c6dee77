"""Quarantine: one attempt alone on its worker: nothing else can be to blame if it dies."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
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
"""Limits of the seconds between two quarantines in the fleet, if the first proved nothing."""
HOLD_S = 60.0
"""Seconds for which a suspect waits here. Then it costs SQS a receive: 10 of 50 in 10 minutes."""
POLL_S = 0.25
"""Seconds between two looks of a suspect that waits; the first of a worker asks for the permit."""
_GROUPS_FIRST_S = 30.0
"""Seconds for which an attempt that must run alone lets suspects run in groups before it."""
_SERIES_S = 60.0
"""Seconds for which suspects run alone one after the other on a worker that receives nothing."""
_SERIES_QUIET_S = 2.0
"""As `QUIET_S`, for an answer that has just left quarantine when another suspect waits for it."""


class QuarantineBusyError(Exception):
    """Other suspects run, or this worker does not become quiet: a later attempt."""


class Quarantine:
    """The state of a worker that runs one attempt alone.

    In quarantine it receives nothing more, and peers hand nothing over to it. The answers that run
    get `QUIET_S` to end. Then their attempts are cancelled, which releases their messages: they
    continue on a peer, or here after the quarantine.

    Suspects that wait keep their messages: releasing them would cost SQS receives. They run
    nothing, so an attempt is alone beside them. If it makes progress, the next of them runs alone
    at once.

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
        self._held: set[asyncio.Task[Any] | None] = set()
        self._queue: deque[object] = deque()
        self._passed_on = False
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

    @property
    def held(self) -> int:
        """Jobs of suspects that wait here and run nothing."""
        return len(self._held)

    @contextmanager
    def holding(self) -> Generator[None]:
        """Count the calling job as one that waits and runs nothing, inside the context."""
        task = asyncio.current_task()
        self._held.add(task)
        self._notify()
        try:
            yield
        finally:
            self._held.discard(task)
            self._notify()

    def check_drain(self) -> None:
        """Check that the worker does not drain.

        Raises
        ------
        HandedOverError
            It drains.
        """
        if self._shutdown.draining.is_set():
            raise HandedOverError

    async def begin_in_turn(self, *, groups_busy: Callable[[], bool]) -> None:
        """Wait for this job's turn, then until it is alone on this worker: at most 75 s.

        Parameters
        ----------
        groups_busy : Callable[[], bool]
            Returns whether suspects run in groups here; they go first for some time.

        Raises
        ------
        QuarantineBusyError
            It cannot be alone now.
        HandedOverError
            The worker drains.
        UnavailableError
            Valkey is away.
        """
        turn, quiet_s = object(), QUIET_S
        self._queue.append(turn)
        try:
            with self.holding():
                if await self._wait_for_turn(turn, groups_busy):
                    quiet_s = _SERIES_QUIET_S
        finally:
            self._queue.remove(turn)
            if self._passed_on and not self._queue:  # to a suspect that has gone
                await self._close(proved=True)
        await self._isolate(quiet_s)

    async def _wait_for_turn(self, turn: object, groups_busy: Callable[[], bool]) -> bool:
        """Wait for the quarantine; return whether the suspect before has passed it on."""
        began = _now()
        while True:
            if self._queue[0] is turn:
                if self._passed_on:
                    self._passed_on = False
                    return True
                groups_first = groups_busy() and _now() - began < _GROUPS_FIRST_S
                if not groups_first and await self._could_take():
                    return False
            if _now() - began >= HOLD_S:
                raise QuarantineBusyError("other suspects run alone")
            await asyncio.sleep(POLL_S)
            self.check_drain()

    async def _could_take(self) -> bool:
        try:
            await self._take()
        except QuarantineBusyError:
            return False
        return True

    async def _take(self) -> None:
        """Take the fleet's permit; from then on the worker takes no other jobs."""
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

    async def _isolate(self, quiet_s: float) -> None:
        try:
            await self._become_alone(quiet_s)
        except BaseException:
            await self._close(proved=False)
            raise

    async def end(self, *, proved: bool = False) -> None:
        """End the quarantine: the worker takes jobs again. Ending it twice changes nothing.

        Parameters
        ----------
        proved : bool
            The attempt has made progress. Then the next suspect that waits here runs alone at
            once, for some time; without one the fleet's permit is free at once.
        """
        in_time = _now() - self._began < _SERIES_S and not self._shutdown.draining.is_set()
        if proved and self._queue and in_time:
            self._passed_on = True
            return
        await self._close(proved=proved and not self._queue)

    async def _close(self, *, proved: bool) -> None:
        if not self.active:
            return
        self._passed_on = False
        holder, self._holder = self._holder, ""
        self._notify()
        if self._renewing is not None:
            await end(self._renewing)
        # Suspects that prove nothing, or go on and on, get at most half of a worker's time, also
        # where there is only one worker.
        lasted_s = min(max(_now() - self._began, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
        pause_s = 0.0 if proved else lasted_s
        with suppress(UnavailableError):  # its lease ends
            await self._permits.release(holder, pause_s=pause_s)

    async def _become_alone(self, quiet_s: float) -> None:
        until = _now() + quiet_s
        # Looked at again and again: a job that was received with this one may become a suspect that
        # waits, which is nothing to wait for.
        while (others := self._others()) and _now() < until:
            await self._wait(others, POLL_S)
            if self._shutdown.draining.is_set():
                break
        if self._shutdown.draining.is_set():
            raise HandedOverError
        # Twice: a library may turn a cancellation into an error of its own.
        for _ in range(2):
            if left := self._others():
                for task in left:
                    task.cancel()
                await self._wait(left, _RELEASE_S / 2)
        if self._shutdown.draining.is_set():
            raise HandedOverError
        if self._others():
            raise QuarantineBusyError("the worker does not become quiet")
        logger.warning("a request runs in quarantine: its attempts have ended without progress")

    def _others(self) -> set[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return {task for task in self._jobs if task is not current and task not in self._held}

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
