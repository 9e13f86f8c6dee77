"""Attendance in memory."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from axon.event_log.attendance import Attendance, attendance_window_s, leaving_window_s
from axon.testing.relay_directory import FakeLog


class FakeAttendance(Attendance):
    """See `axon.event_log.attendance.Attendance`; `extended` records the calls.

    `window_s` is how long an extension lasts.

    Parameters
    ----------
    find : Callable[[str], FakeLog | None]
        Finds the log of a response.
    keep : Callable[[FakeLog], None]
        Keeps an ended log from now on as long as when it ended.
    resume_window_s : float
        Seconds for which a reader may be away.
    clock : Callable[[], float]
        Seconds.
    """

    def __init__(
        self,
        find: Callable[[str], FakeLog | None],
        *,
        keep: Callable[[FakeLog], None],
        resume_window_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.extended: list[Sequence[str]] = []
        self.fail_with: Exception | None = None
        self._find = find
        self._keep = keep
        self.window_s = attendance_window_s(resume_window_s)
        self._clock = clock

    @override
    async def extend(self, response_ids: Sequence[str]) -> None:
        self.extended.append(response_ids)
        if self.fail_with is not None:
            raise self.fail_with
        until = self._clock() + self.window_s
        for log in map(self._find, response_ids):
            if log and log.meta.followed and log.abandoned_until != float("inf"):
                log.abandoned_until = max(log.abandoned_until, until)

    @override
    async def leave(self, response_id: str) -> None:
        log, until = self._find(response_id), self._clock() + leaving_window_s()
        if log and log.meta.followed and log.abandoned_until != float("inf"):
            log.abandoned_until = min(log.abandoned_until, until)

    @override
    async def keep_ended(self, response_ids: Sequence[str]) -> None:
        for log in map(self._find, response_ids):
            if log and log.meta.status.terminal and log.meta.tenant_id:
                self._keep(log)
