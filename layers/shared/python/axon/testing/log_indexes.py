"""The event log's indexes in memory."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from axon.event_log.indexes import RESEND_PAUSE_S
from axon.event_log.log import EventLog
from axon.testing.relay_directory import FakeLog, FakeRelays


class FakeLogIndexes(FakeRelays, EventLog):
    """The part of `axon.testing.event_log.FakeValkey` that lists and marks responses."""

    def __init__(self, *, clock: Callable[[], float], resume_window_s: float) -> None:
        super().__init__(clock=clock)
        self._resume_window_s = resume_window_s

    @override
    async def take_resend(self, response_id: str) -> bool:
        log = self._find(response_id)
        if log is None or log.meta.epoch or self._clock() < log.resend_at:
            return False
        log.resend_at = self._clock() + RESEND_PAUSE_S * 2**log.resends
        log.resends += 1
        return True

    @override
    async def undo_resend(self, response_id: str) -> None:
        if log := self._find(response_id):
            log.resend_at = float("-inf")

    @override
    async def overdue(self, *, limit: int = 100) -> list[str]:
        now = self._clock()
        return [key for key, log in self._open_logs() if log.look_at <= now][:limit]

    @override
    async def abandon(self, connection_id: str) -> None:
        for _, log in self._open_logs():
            if log.meta.connection_id == connection_id and log.abandoned_until == float("inf"):
                window_s = 0.0 if self._cancels(log, connection_id) else self._resume_window_s
                log.abandoned_until = self._clock() + window_s

    @override
    async def interrupt(self, connection_id: str) -> None:
        self._interrupted.add(connection_id)

    def _cancels(self, log: FakeLog, connection_id: str) -> bool:
        """Return whether the end of a connection cancels this response at once."""
        asked = log.cancel_on_disconnect
        if asked is None:
            asked = connection_id in self._cancelling
        return asked and connection_id not in self._interrupted

    @override
    async def abandoned(self, *, limit: int = 100) -> list[str]:
        now = self._clock()
        return [key for key, log in self._open_logs() if log.abandoned_until <= now][:limit]

    @override
    async def forget(self, response_id: str) -> None:
        if log := self._logs.get(response_id):
            log.look_at = log.abandoned_until = float("inf")

    @override
    async def running_for(self, connection_id: str) -> set[str]:
        return {key for key, log in self._open_logs() if log.meta.connection_id == connection_id}

    def _open_logs(self) -> Sequence[tuple[str, FakeLog]]:
        return [(k, log) for k, log in self._logs.items() if not log.meta.status.terminal]
