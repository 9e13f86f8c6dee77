"""Retry policy of jobs: how long the next attempt waits, and when none can follow."""

import random
from math import ceil
from typing import Literal

NoRetryReason = Literal["deadline", "receives"]
"""Why no other attempt can follow: it would come after the deadline, or as a dead letter."""

_MAX_DELAY_S = 30
_MAX_NEWER_VERSION_DELAY_S = 60
_MAX_DOUBLINGS = 5  # 2 to the power of 5 exceeds the longest delay


class ShedError(Exception):
    """A stage has no room for the job, and no later attempt is possible.

    Parameters
    ----------
    stage : str
        Name of the stage whose queue was full, or whose engine was busy.
    reason : NoRetryReason
        Why no other attempt can follow.
    """

    def __init__(self, stage: str, reason: NoRetryReason) -> None:
        super().__init__(f"the stage '{stage}' is overloaded: {reason}")
        self.stage = stage
        self.reason = reason


class OverdueError(Exception):
    """The job's deadline has passed, before the attempt or while it waited for a service."""


def delay_s(receive_count: int, *, wait_s: float = 0.0) -> int:
    """Return after how many seconds a job that found no room is visible again.

    Random, so that jobs which were refused together do not return together.

    Parameters
    ----------
    receive_count : int
        Receives of the job's message so far; the delay doubles with each, up to 15 to 30 s.
    wait_s : float
        Seconds before which it would find none; the random part comes on top of a longer one.
    """
    longest = _longest_delay_s(receive_count)
    spread = random.uniform(0, longest / 2)  # noqa: S311 - spreads load
    return ceil(wait_s) + round(spread) if wait_s > longest / 2 else round(longest / 2 + spread)


def suspect_delay_s() -> int:
    """Return after how many seconds a job that must run alone tries again.

    The delay does not double: that a suspect has waited often says only that others went first.
    With these seconds SQS's 50 receives last about as long as a response's deadline.
    """
    return round(random.uniform(5, 15))  # noqa: S311 - spreads load


def newer_version_delay_s(receive_count: int) -> int:
    """Return after how many seconds a job that needs a newer version is visible again.

    A deployment takes minutes, in which mostly workers of this version receive the job. With these
    delays, SQS's 50 receives last 35 minutes or more: longer than a response waits for a worker.

    Parameters
    ----------
    receive_count : int
        Receives of the job's message so far; the delay doubles with each, up to 45 to 60 s.
    """
    longest = min(_MAX_NEWER_VERSION_DELAY_S, 1 << min(receive_count, _MAX_DOUBLINGS + 1))
    return round(random.uniform(longest * 3 / 4, longest))  # noqa: S311 - spreads load


def no_retry_reason(
    *, receive_count: int, max_receives: int, left_ms: int, wait_s: float = 0.0
) -> NoRetryReason | None:
    """Return why no other attempt at a job can follow; None if one can.

    Parameters
    ----------
    receive_count : int
        Receives of the job's message so far.
    max_receives : int
        Receives after which SQS moves the message to the dead-letter queue.
    left_ms : int
        Milliseconds until the job's deadline.
    wait_s : float
        Seconds before which no attempt would find room.
    """
    if receive_count >= max_receives:
        return "receives"
    delay = wait_s + _longest_delay_s(receive_count)
    return "deadline" if left_ms <= delay * 1000 else None


def _longest_delay_s(receive_count: int) -> int:
    return min(_MAX_DELAY_S, 1 << min(receive_count, _MAX_DOUBLINGS))
