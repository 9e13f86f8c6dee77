"""Attendance of followed responses, in Valkey."""

import asyncio
from collections.abc import Iterator, Sequence
from math import ceil

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.deadlines import Deadlines
from axon.event_log.attendance import Attendance, attendance_window_s, leaving_window_s

AT_ONCE = 500
"""Responses that one call extends, so that it runs for less than 1 ms."""
KEPT_AT_ONCE = 60
"""The same of ended responses, of which each takes ten commands."""


class ValkeyAttendance(Attendance):
    """See `axon.event_log.attendance.Attendance`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    resume_window_s : float
        Seconds for which a reader may be away.
    retention_s : float
        Seconds that a log is kept after its end.
    deadlines : Deadlines
        Say how long the state of an ended response is kept.
    """

    def __init__(
        self, *, valkey: Valkey, resume_window_s: float, retention_s: float, deadlines: Deadlines
    ) -> None:
        self._window_ms = int(attendance_window_s(resume_window_s) * 1000)
        self._leaving_ms = int(leaving_window_s() * 1000)
        # Without memory for it, answers that are being read would be cancelled.
        self._kept_s = (ceil(retention_s), deadlines.keep_ended_s(retention_s))
        self._attend = Script(valkey, "attend", after=("now_ms",), when_full=True)
        self._leave = Script(valkey, "leave", after=("now_ms",), when_full=True)
        self._keep_ended = Script(valkey, "keep_ended", after=("now_ms", "held"), when_full=True)

    @override
    async def extend(self, response_ids: Sequence[str]) -> None:
        await asyncio.gather(*map(self._extend, _pages(response_ids, AT_ONCE)))

    @override
    async def leave(self, response_id: str) -> None:
        await self._leave(keys=[keys.ABANDONED], args=[self._leaving_ms, response_id])

    @override
    async def keep_ended(self, response_ids: Sequence[str]) -> None:
        await asyncio.gather(*map(self._keep, _pages(response_ids, KEPT_AT_ONCE)))

    async def _keep(self, page: Sequence[str]) -> None:
        await self._keep_ended(keys=[], args=[*self._kept_s, *page])

    async def _extend(self, page: Sequence[str]) -> None:
        await self._attend(keys=[keys.ABANDONED], args=[self._window_ms, *page])


def _pages(response_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (response_ids[first : first + size] for first in range(0, len(response_ids), size))
