"""Attendance of followed responses, in Valkey."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.event_log.attendance import Attendance, attendance_window_s

AT_ONCE = 500
"""Responses that one call extends, so that it runs for less than 1 ms."""


class ValkeyAttendance(Attendance):
    """See `axon.event_log.attendance.Attendance`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    resume_window_s : float
        Seconds for which a reader may be away.
    """

    def __init__(self, *, valkey: Valkey, resume_window_s: float) -> None:
        self._window_ms = int(attendance_window_s(resume_window_s) * 1000)
        # Without memory for it, answers that are being read would be cancelled.
        self._attend = Script(valkey, "attend", after=("now_ms",), when_full=True)

    @override
    async def extend(self, response_ids: Sequence[str]) -> None:
        pages = (
            response_ids[first : first + AT_ONCE] for first in range(0, len(response_ids), AT_ONCE)
        )
        await asyncio.gather(*map(self._extend, pages))

    async def _extend(self, page: Sequence[str]) -> None:
        await self._attend(keys=[keys.ABANDONED], args=[self._window_ms, *page])
