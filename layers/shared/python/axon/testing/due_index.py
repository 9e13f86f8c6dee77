"""The indexes of deadlines and of abandoned responses in memory."""

from collections.abc import Callable

from typing_extensions import override

from axon.deadlines import Deadlines
from axon.event_log.due import DueIndex, DueReason, DueResponse, Taken
from axon.testing.models import FakeModelDirectory
from axon.testing.relay_directory import FakeLog

LEASE_S = 20.0


class FakeDueIndex(DueIndex):
    """The rules of docs/deadlines.md over the logs of `axon.testing.event_log.FakeValkey`."""

    def __init__(
        self,
        *,
        logs: dict[str, FakeLog],
        models: FakeModelDirectory,
        deadlines: Deadlines,
        clock: Callable[[], float],
    ) -> None:
        self._logs = logs
        self._models = models
        self._deadlines = deadlines
        self._clock = clock
        self.lease_s = LEASE_S

    @override
    async def take_overdue(self, *, limit: int) -> Taken:
        now, limits = self._clock(), self._deadlines
        looked = [log for log in self._open() if log.look_at <= now]
        looked = sorted(looked, key=lambda log: log.look_at)[:limit]
        due = []
        for log in looked:
            at, reason = self._due(log)
            if at <= now:
                log.look_at = now + self.lease_s
                due.append(DueResponse(log.meta, reason))
            else:
                pause_s = limits.no_progress_s if begun(log) else limits.queue_s
                log.look_at = min(at, now + pause_s)
        return Taken(due, more=len(looked) == limit)

    @override
    async def take_abandoned(self, *, limit: int) -> Taken:
        now = self._clock()
        taken = [log for log in self._open() if log.abandoned_until <= now][:limit]
        for log in taken:
            log.abandoned_until = now + self.lease_s
        due = [DueResponse(log.meta, DueReason.ABANDONED) for log in taken]
        return Taken(due, more=len(taken) == limit)

    @override
    async def is_overdue(self, response_id: str) -> bool | None:
        log = self._logs.get(response_id)
        if log is None:
            return None
        return log.meta.status.terminal or self._due(log)[0] <= self._clock()

    def _open(self) -> list[FakeLog]:
        return [log for log in self._logs.values() if not log.meta.status.terminal]

    def _due(self, log: FakeLog) -> tuple[float, DueReason]:
        """Return when a response is overdue, and why."""
        limits, served = self._deadlines, self._models.served_since(log.model)
        has_output = begun(log)
        since = log.progressed if has_output else log.opened
        at, reason = since + limits.longest_wait_s, DueReason.NO_WORKER
        if served is None:
            seen = self._clock() - self._models.silence(log.model)
            at = min(at, max(since, seen) + limits.no_worker_s)
        elif has_output:
            at, reason = max(since, served) + limits.no_progress_s, DueReason.NO_PROGRESS
        else:
            at, reason = min(at, max(since, served) + limits.queue_s), DueReason.QUEUE
        if limits.hard_limit_s is not None and log.opened + limits.hard_limit_s <= at:
            return log.opened + limits.hard_limit_s, DueReason.HARD_LIMIT if has_output else reason
        return at, reason


def begun(log: FakeLog) -> bool:
    """Return whether a response has output, or a journal record."""
    return log.meta.next_sequence > 2 or bool(log.journal)
