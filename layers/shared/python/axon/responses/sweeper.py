"""ResponseSweeper: ends what is overdue or abandoned, however many at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from axon.event_log.due import DueIndex, DueReason, DueResponse, Taken
from axon.event_log.log import ResponseMeta, Status
from axon.exceptions import UnavailableError
from axon.formats import UnreadableError, log_refusal
from axon.responses.terminator import OVERDUE
from axon.tasks import end

logger = logging.getLogger(__name__)

AT_ONCE = 128
"""Responses that one sweep ends at a time. Their calls to Valkey and SQS travel in batches, so more
would not make it faster, and what waits in a process is lost to the others until its lease ends."""
BATCH = 60
"""Entries of the index that one call looks at, so that the script runs for a millisecond."""
REMEMBERED = 1_000
"""Responses that could not be ended and of which the log has said so."""
END_WITHIN_S = 15.0
"""Seconds after the beginning of a take after which its ends are given up. It must be shorter than
the lease (`axon.adapters.valkey.due_index.LEASE_S`, 20 s), so that no two relays end the same
response and fence each other off."""
PULSE_S = 1.0
"""Seconds from one take to the next at most while ends are under way. The index takes 10 s without
one for an outage, and gives out nothing for 30 s then."""

HARD_LIMIT_REASON = "max_output_tokens"
"""Why a response that has reached the hard limit is incomplete. OpenAI's schema knows only this and
``content_filter``, and clients do the right thing for this one: show the text, and continue it."""


class Terminator(Protocol):
    """Ends responses (`axon.responses.terminator.ResponseTerminator`)."""

    async def end(
        self,
        response_id: str,
        status: Status,
        *,
        error: dict[str, str] | None = None,
        reason: str | None = None,
        known: ResponseMeta | None = None,
    ) -> None:
        """End a response that has not ended yet."""
        ...


class ResponseSweeper:
    """Ends the responses that are due, in parallel, as fast as the terminator gets through.

    Every relay sweeps. None takes what another one has taken, and what one has taken and not ended,
    because it died or a service was unavailable, is due again when its lease ends.

    Parameters
    ----------
    index : DueIndex
        Says which responses are due, and leases them to this sweep.
    terminator : Terminator
        Ends each.
    at_once : int
        Responses that are ended at a time; at least `BATCH`.
    """

    def __init__(self, *, index: DueIndex, terminator: Terminator, at_once: int = AT_ONCE) -> None:
        self._index = index
        self._terminator = terminator
        self._at_once = at_once
        self._failed: dict[str, None] = {}

    async def end_overdue(self) -> int:
        """End all responses that are past their deadline; return how many were taken."""
        return await self._sweep(lambda limit: self._index.take_overdue(limit=limit))

    async def end_abandoned(self) -> int:
        """Cancel all responses that were not resumed in time; return how many were taken."""
        return await self._sweep(lambda limit: self._index.take_abandoned(limit=limit))

    async def _sweep(self, take: Callable[[int], Awaitable[Taken]]) -> int:
        ending: set[asyncio.Task[None]] = set()
        count, more = 0, True
        try:
            while more or ending:
                begun = asyncio.get_running_loop().time()
                # Nothing is taken that is not begun at once: the lease is for the work, not for a
                # queue, and what is left in the index goes to whichever relay has room.
                # A take of nothing keeps the index from seeing an outage.
                taken = await take(BATCH if self._has_room(ending) else 0)
                count, more = count + len(taken.due), taken.more
                until = begun + END_WITHIN_S
                ending |= {asyncio.create_task(self._end(each, until=until)) for each in taken.due}
                ending = await self._wait(ending, for_all=not more)
        finally:
            await end(*ending)
        return count

    def _has_room(self, ending: set[asyncio.Task[None]]) -> bool:
        return len(ending) <= self._at_once - BATCH

    async def _wait(
        self, ending: set[asyncio.Task[None]], *, for_all: bool
    ) -> set[asyncio.Task[None]]:
        """Wait until another batch has room, or all have ended, or a pulse is due."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PULSE_S
        while ending and (for_all or not self._has_room(ending)) and loop.time() < until:
            _, ending = await asyncio.wait(
                ending,
                timeout=until - loop.time(),
                return_when=asyncio.ALL_COMPLETED if for_all else asyncio.FIRST_COMPLETED,
            )
        return ending

    async def _end(self, due: DueResponse, *, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._end_as(due)
        except TimeoutError:
            logger.warning("%s was not ended within its lease", due.meta.response_id)
        except UnreadableError as error:  # left to a relay of the newer version
            log_refusal(error)
        except UnavailableError as error:
            # It is due again when the lease ends; thousands may fail at once, so no tracebacks.
            logger.warning("%s could not be ended: %s", due.meta.response_id, error)
        except Exception:  # one that cannot be ended must not stop the others
            if self._is_new(due.meta.response_id):
                logger.exception("%s could not be ended: %s", due.meta.response_id, due.reason)

    def _is_new(self, response_id: str) -> bool:
        """Return whether a response fails here for the first time; each lease tries it again."""
        if response_id in self._failed:
            return False
        self._failed[response_id] = None
        if len(self._failed) > REMEMBERED:
            del self._failed[next(iter(self._failed))]
        return True

    async def _end_as(self, due: DueResponse) -> None:
        response_id, known = due.meta.response_id, due.meta
        match due.reason:
            case DueReason.ABANDONED:
                await self._terminator.end(response_id, Status.CANCELLED, known=known)
            case DueReason.HARD_LIMIT:
                await self._terminator.end(
                    response_id, Status.INCOMPLETE, reason=HARD_LIMIT_REASON, known=known
                )
            case _:
                await self._terminator.end(response_id, Status.FAILED, error=OVERDUE, known=known)
