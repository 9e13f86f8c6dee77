"""The budget of a response's attempts: who is a suspect, who runs alone, who is condemned."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

from typing_extensions import override

from axon.event_log.attempts import AttemptNote, AttemptNotes
from axon.event_log.log import Claim
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from axon.retry import RetryPolicy
from axon.tasks import end
from worker.attempt.endings import CondemnedError, ResponseFailure, ending_of
from worker.quarantine import Quarantine
from worker.suspect_groups import SuspectGroups

logger = logging.getLogger(__name__)

QUARANTINE_S = 60.0
"""Seconds without a flush after which a suspect continues in company, unproved."""
_NOTE_TIMEOUT_S = 1.0
"""Limit for the note of an attempt that ends; without it the attempt counts."""
_ALONE_NOTE_TIMEOUT_S = 15.0
"""The same for an attempt that ran alone; without it its request is condemned. At a drain, jobs
have 5 s from the hand-over to their cancellation, and then 30 s to release their messages."""


class Progress(Protocol):
    """Notified of an attempt's progress."""

    async def made(self) -> None:
        """Take note that a flush of the attempt is in the log."""
        ...


class Budget(Protocol):
    """Bounds the attempts at a response."""

    def spend(
        self, response_id: str, claim: Claim, *, retry: RetryPolicy
    ) -> AbstractAsyncContextManager[Progress]:
        """Run an attempt inside the context."""
        ...


class Unlimited(Budget):
    """No budget: each response has one attempt, or nobody counts them."""

    @override
    @asynccontextmanager
    async def spend(
        self, response_id: str, claim: Claim, *, retry: RetryPolicy
    ) -> AsyncGenerator[Progress]:
        yield _NoProgress()


class AttemptBudget(Budget):
    """Bounds the attempts at a response that make no progress.

    Worker deaths are nobody's fault until they are proved. A response whose attempt has ended
    without progress is a suspect: something has killed its worker, and it was there, as were its
    peers. Its next attempt runs beside few other suspects (`SuspectGroups`), the last of
    `max_attempts` alone. If that worker dies, too, the claim after it fails the response.

    Parameters
    ----------
    notes : AttemptNotes
        Tell the claim that follows how this attempt ended.
    quarantine : Quarantine
        Lets an attempt run alone on this worker.
    max_attempts : int
        Attempts without progress; the last one runs in quarantine.
    slots : int
        Slots of the engine.
    """

    def __init__(
        self, *, notes: AttemptNotes, quarantine: Quarantine, max_attempts: int, slots: int
    ) -> None:
        self._notes = notes
        self._quarantine = quarantine
        self._max_attempts = max_attempts
        self._groups = SuspectGroups(quarantine=quarantine, slots=slots, max_attempts=max_attempts)

    @override
    @asynccontextmanager
    async def spend(
        self, response_id: str, claim: Claim, *, retry: RetryPolicy
    ) -> AsyncGenerator[Progress]:
        """Run an attempt inside the context: a suspect's in a group, its last one alone.

        Raises
        ------
        CondemnedError
            The attempt before ran alone, and killed its worker.
        QuarantineBusyError
            It must run in a group or alone, and cannot do so now.
        HandedOverError
            The worker drains.
        """
        if claim.died_alone:
            raise CondemnedError("it killed the worker on which it ran alone")
        attempt = _Attempt(
            response_id,
            epoch=claim.epoch,
            notes=self._notes,
            quarantine=self._quarantine,
            groups=self._groups,
        )
        try:
            if claim.attempts >= self._max_attempts:
                await attempt.isolate(retry)
            elif claim.attempts > 1:
                await attempt.join_group(self._groups.limit(claim.attempts), retry)
            yield attempt
        except BaseException as error:
            await attempt.note_end(error)
            raise
        finally:
            await attempt.rejoin()


class _NoProgress(Progress):
    @override
    async def made(self) -> None: ...


class _Attempt(Progress):
    """One attempt: in company or alone, with progress or without."""

    def __init__(
        self,
        response_id: str,
        *,
        epoch: int,
        notes: AttemptNotes,
        quarantine: Quarantine,
        groups: SuspectGroups,
    ) -> None:
        self._response_id = response_id
        self._epoch = epoch
        self._notes = notes
        self._quarantine = quarantine
        self._groups = groups
        self._progressed = False
        self._released = False
        self._alone = False
        self._limit: asyncio.Task[None] | None = None

    async def join_group(self, limit: int, retry: RetryPolicy) -> None:
        """Wait until the attempt may run beside few other suspects.

        While it waits, it does not count: others may kill this worker, and it would move on to
        quarantine without having run.
        """
        if self._groups.try_join(self, limit):
            return
        await retry.run(lambda: self._note(AttemptNote.RELEASED))
        self._released = True
        await self._groups.join(self, limit)
        await retry.run(lambda: self._note(AttemptNote.IN_COMPANY))
        self._released = False

    async def isolate(self, retry: RetryPolicy) -> None:
        """Wait until the attempt is alone, and say so in the log; only then can it be condemned."""
        groups = self._groups
        await retry.run(lambda: self._quarantine.begin_in_turn(groups_busy=lambda: groups.busy))
        self._alone = True
        await retry.run(lambda: self._note(AttemptNote.ALONE))
        self._limit = asyncio.create_task(self._rejoin_later())

    @override
    async def made(self) -> None:
        """End the quarantine: the log has grown, so the next claim begins to count again."""
        self._progressed = True
        self._groups.leave(self)
        if self._alone:
            await self.rejoin()

    async def rejoin(self) -> None:
        """Leave the group or end the quarantine, if the attempt runs in one."""
        self._groups.leave(self)
        try:
            if self._limit is not None:
                limit, self._limit = self._limit, None
                await end(limit)
        finally:
            # Also when cancelled in that wait: else the worker would stay in quarantine for ever.
            if self._alone:
                self._alone = False
                await self._quarantine.end(proved=self._progressed)

    async def note_end(self, error: BaseException) -> None:
        """Tell the next claim how this attempt ended, before its message is released.

        An attempt with progress needs no note, since the log has grown. A note that cannot be
        written makes the next claim count this attempt: at worst the response becomes a suspect.
        """
        if self._progressed or self._released or not (note := self._note_of(error)):
            return
        if self._alone:
            await self._note_end_alone(note)
            return
        with suppress(UnavailableError, FencedError, MissingResponseError, TimeoutError):
            async with asyncio.timeout(_NOTE_TIMEOUT_S):
                await self._note(note)

    async def _note_end_alone(self, note: AttemptNote) -> None:
        """Write the note with retries, while the message is held; one cancellation does not end it.

        A worker that ends takes its beat with it. With the note `ALONE` in the log, the next claim
        would take it for dead, and condemn a request that was only handed over.
        """
        retry = RetryPolicy(within_s=_ALONE_NOTE_TIMEOUT_S, longest_pause_s=1.0)
        writing = asyncio.create_task(retry.run(lambda: self._note(note)))
        until = asyncio.get_running_loop().time() + _ALONE_NOTE_TIMEOUT_S
        try:
            try:
                await asyncio.wait([writing], timeout=_ALONE_NOTE_TIMEOUT_S)
            except asyncio.CancelledError:  # the drain has waited long enough for this job
                left_s = until - asyncio.get_running_loop().time()
                await asyncio.wait([writing], timeout=max(left_s, 0))
                raise
        finally:
            if not writing.done() or isinstance(writing.exception(), UnavailableError):
                logger.error("%s ran alone, and its end is not noted", self._response_id)
            await end(writing)

    def _note_of(self, error: BaseException) -> AttemptNote | None:
        if not isinstance(error, Exception):  # cancelled: the worker drains, or goes in quarantine
            return AttemptNote.RELEASED
        ending = ending_of(error)
        if ending.faultless:
            return AttemptNote.RELEASED
        another_follows = ending.escalates and not isinstance(ending.client, ResponseFailure)
        return AttemptNote.FAILED if self._alone and another_follows else None

    async def _note(self, note: AttemptNote) -> None:
        await self._notes.note(
            self._response_id, note, epoch=self._epoch, incarnation=self._quarantine.incarnation
        )

    async def _rejoin_later(self) -> None:
        await asyncio.sleep(QUARANTINE_S)
        logger.warning("%s leaves quarantine without progress", self._response_id)
        # Before another request may kill this worker. While Valkey is away the attempt stays alone;
        # its own end, at the latest by its deadline, ends this task.
        with suppress(FencedError, MissingResponseError):
            await RetryPolicy().run(lambda: self._note(AttemptNote.IN_COMPANY))
        self._alone, self._limit = False, None
        await self._quarantine.end()
