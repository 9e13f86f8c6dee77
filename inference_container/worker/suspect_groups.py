"""Groups of suspects: how few of them run on a worker at a time, until each has made progress."""

import asyncio
import math
from collections import deque

from worker.quarantine import HOLD_S, POLL_S, Quarantine, QuarantineBusyError


class SuspectGroups:
    """The suspects that run on this worker beside each other, and those that wait for it.

    Group testing: something has killed a worker, and was one of up to `slots` requests. All of them
    run again, few at a time. A request that makes progress is no suspect any more, and the next one
    takes its place. So a death leaves only the members of one group under suspicion. Between the
    first attempt, in which all slots run, and the last one, which runs alone, the limits are a
    geometric series (64, 8, 1 or 64, 16, 4, 1): for one poison it needs the fewest attempts in
    series (R. Dorfman, "The detection of defective members of large populations", 1943).

    Parameters
    ----------
    quarantine : Quarantine
        No suspect begins while an attempt runs alone.
    slots : int
        Slots of the engine.
    max_attempts : int
        Attempts without progress; the last one is not run in a group.
    """

    def __init__(self, *, quarantine: Quarantine, slots: int, max_attempts: int) -> None:
        self._quarantine = quarantine
        self._slots = max(slots, 1)
        self._max_attempts = max_attempts
        self._members: dict[object, int] = {}
        self._waiting: deque[object] = deque()

    @property
    def busy(self) -> bool:
        """True while suspects run in a group or wait for one."""
        return bool(self._members or self._waiting)

    def limit(self, attempts: int) -> int:
        """Return how many suspects may run beside each other.

        Parameters
        ----------
        attempts : int
            Attempts of the suspect without progress, this one included; from 2 on.
        """
        share = (self._max_attempts - attempts) / max(self._max_attempts - 1, 1)
        return max(round(math.pow(self._slots, share)), 1)

    def try_join(self, member: object, limit: int) -> bool:
        """Take a place in the group, if one is free and nobody waits; return whether it is taken.

        Parameters
        ----------
        member : object
            The attempt.
        limit : int
            How many suspects may run beside it.
        """
        return not self._waiting and self._enter(member, limit)

    async def join(self, member: object, limit: int) -> None:
        """Wait for a place in the group, in the order of arrival: at most `HOLD_S`.

        Parameters
        ----------
        member : object
            The attempt.
        limit : int
            How many suspects may run beside it.

        Raises
        ------
        QuarantineBusyError
            There was no place in this time.
        HandedOverError
            The worker drains.
        """
        self._waiting.append(member)
        try:
            with self._quarantine.holding():
                async with asyncio.timeout(HOLD_S):
                    while self._waiting[0] is not member or not self._enter(member, limit):
                        await asyncio.sleep(POLL_S)
                        self._quarantine.check_drain()
        except TimeoutError:
            self.leave(member)
            raise QuarantineBusyError("other suspects run on this worker") from None
        finally:
            self._waiting.remove(member)

    def leave(self, member: object) -> None:
        """Leave the group, if the attempt is in it: it has made progress, or has ended."""
        self._members.pop(member, None)

    def _enter(self, member: object, limit: int) -> bool:
        # The smallest limit of those that run holds for all of them.
        if self._quarantine.active or len(self._members) >= min([limit, *self._members.values()]):
            return False
        self._members[member] = limit
        return True
