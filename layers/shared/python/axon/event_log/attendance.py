"""Attendance: readers of a followed response keep it from being cancelled.

No connection waits for a followed response. From its opening on it stands in the index of abandoned
responses, with a time at which it is cancelled. Each process that has a reader of it extends that
time; when the last reader has left, or its process has died, the time passes. A client that has
left for good shortens it, so that the response is cancelled within seconds if nobody else reads it.
"""

from collections.abc import Sequence
from typing import Protocol

EXTEND_EVERY_S = 3.0
"""Seconds from one extension to the next: a call for 500 responses takes Valkey less than 1 ms."""
_MISSED = 3
"""Extensions that a response is kept through beyond the resume window: two may fail, or be late."""


def attendance_window_s(resume_window_s: float) -> float:
    """Return the seconds after its last extension at which a followed response is cancelled.

    A reader may leave right after an extension or right before the next one. It has the whole
    resume window to come back in either case.
    """
    return resume_window_s + _MISSED * EXTEND_EVERY_S


def leaving_window_s() -> float:
    """Return the seconds after which a response is cancelled whose client has left for good.

    Another process that has a reader of it extends its time meanwhile; two extensions may fail.
    """
    return _MISSED * EXTEND_EVERY_S


class Attendance(Protocol):
    """Extends followed responses: `ValkeyAttendance`, and `FakeAttendance` for tests."""

    async def extend(self, response_ids: Sequence[str]) -> None:
        """Keep the responses that somebody reads for another window.

        To be called every `EXTEND_EVERY_S` seconds, once for all responses of a process. A response
        that has ended, is unknown or was resumed on a connection is left as it is.

        Raises
        ------
        UnavailableError
            The index stayed away; the next call makes up for it.
        """
        ...

    async def leave(self, response_id: str) -> None:
        """Shorten the time of a response to `leaving_window_s`; `extend` lengthens it again.

        A response that has ended, is unknown or was resumed on a connection is left as it is.

        Raises
        ------
        UnavailableError
            The index stayed away; the response is cancelled after the whole window.
        """
        ...

    async def keep_ended(self, response_ids: Sequence[str]) -> None:
        """Keep the logs of responses that have ended as long again, for readers that wait.

        A response may end long before its turn comes in its lane. To be called as `extend`; one
        that runs, is deleted or unknown is left as it is.

        Raises
        ------
        UnavailableError
            As `extend`.
        """
        ...
