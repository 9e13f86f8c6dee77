"""Responses that are due to be ended: overdue, or abandoned by their connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from axon.event_log.log import ResponseMeta


class DueReason(StrEnum):
    """Why a response is to be ended; docs/deadlines.md has the table."""

    NO_WORKER = "no_worker"
    QUEUE = "queue"
    NO_PROGRESS = "no_progress"
    HARD_LIMIT = "hard_limit"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class DueResponse:
    """A response that is this caller's to end, with its state when it was taken."""

    meta: ResponseMeta
    reason: DueReason


@dataclass(frozen=True, slots=True)
class Taken:
    """Responses taken in one step; `more`: the index may have further ones that are due."""

    due: Sequence[DueResponse]
    more: bool


class DueIndex(Protocol):
    """The indexes of deadlines and of abandoned responses: `ValkeyDueIndex`, or `FakeValkey`.

    What one caller takes is leased to it: no other one gets the same response before the lease
    ends, and if the caller dies, another one takes it then. A response stays in the index, and its
    log is kept, until it has ended.

    After a time in which nobody could look, as when Valkey was away, nothing is taken for 30 s:
    workers need them to append what they hold, clients to resume. The same holds for what is
    abandoned after a failover, which may have undone that a client resumed it.
    """

    async def take_overdue(self, *, limit: int) -> Taken:
        """Take up to `limit` responses whose deadline has passed.

        A limit of 0 takes none, and says that this caller still sweeps.

        The index holds when to look at a response. One that has made progress since, or for which
        no worker runs, is not taken, but looked at again later.
        """
        ...

    async def take_abandoned(self, *, limit: int) -> Taken:
        """Take up to `limit` responses that were not resumed in time."""
        ...

    async def is_overdue(self, response_id: str) -> bool | None:
        """Return whether no attempt at a response is of use: it is overdue, or has ended.

        None if it is not in the log.
        """
        ...
