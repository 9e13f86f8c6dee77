"""Retention: conversations that nobody has used for their tenant's time are deleted, in batches."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

BATCH = 500
"""Most responses of a transaction: it lasts some ten milliseconds, and its locks no longer."""

PAUSE_S = 0.05
"""Pause between two batches, in seconds: most of the time the database does other things."""

TOMBSTONE_DAYS = 60
"""Days for which a deleted response is remembered: more than the two times 14 days (quota of SQS)
for which its record can wait in the history queue and then in the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class TenantRetention:
    """A tenant that has conversations, and for how many days they are kept after their last use."""

    tenant_id: str
    days: int


@dataclass(frozen=True, slots=True)
class Expired:
    """Numbers of responses and conversations that were deleted."""

    responses: int = 0
    conversations: int = 0

    def __add__(self, other: "Expired") -> "Expired":
        """Return the sums."""
        return Expired(self.responses + other.responses, self.conversations + other.conversations)

    def __bool__(self) -> bool:
        """Return whether anything was deleted."""
        return bool(self.responses or self.conversations)


class RetentionStore(Protocol):
    """The database's side. Each call is a transaction of its own, of bounded size.

    All of them raise `UnavailableError` when the database is away.
    """

    async def tenants(self, *, default_days: int) -> Sequence[TenantRetention]:
        """Return the tenants whose conversations may expire; those that keep all are left out."""
        ...

    async def expire(self, retention: TenantRetention, *, limit: int) -> Expired:
        """Delete at most `limit` responses of a tenant's expired conversations, and those."""
        ...

    async def forget_tombstones(self, *, days: int, limit: int) -> int:
        """Forget at most `limit` tombstones that are older; return how many."""
        ...

    async def set_days(self, tenant_id: str, days: int | None) -> bool:
        """Set how long a tenant's conversations are kept (0: for ever; None: the default).

        Return False if there is no such tenant.
        """
        ...


class RetentionSweep:
    """Deletes what has expired, until nothing is left or the time is up.

    Parameters
    ----------
    store : RetentionStore
        The database.
    default_days : int
        Days for tenants without a setting of their own; 0: for ever.
    pause_s : float
        Seconds between two batches.
    clock : Callable[[], float]
        Seconds, for the time limit.
    """

    def __init__(
        self,
        *,
        store: RetentionStore,
        default_days: int,
        pause_s: float = PAUSE_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._default_days = default_days
        self._pause_s = pause_s
        self._clock = clock

    async def run(self, *, within_s: float) -> Expired:
        """Delete for at most `within_s` seconds; what is left is for the next run.

        Tenants take turns, so that one with very much to delete does not keep the others waiting.

        Raises
        ------
        UnavailableError
            The database is away; finished batches stay.
        """
        until = self._clock() + within_s
        total = Expired()
        tenants = list(await self._store.tenants(default_days=self._default_days))
        while tenants:
            unfinished = []
            for retention in tenants:
                if self._clock() >= until:
                    return total
                expired = await self._store.expire(retention, limit=BATCH)
                total += expired
                if expired:
                    unfinished.append(retention)
                await asyncio.sleep(self._pause_s)
            tenants = unfinished
        await self._forget_tombstones(until)
        return total

    async def _forget_tombstones(self, until: float) -> None:
        while self._clock() < until:
            if not await self._store.forget_tombstones(days=TOMBSTONE_DAYS, limit=BATCH):
                return
            await asyncio.sleep(self._pause_s)
