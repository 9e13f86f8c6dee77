"""What becomes of a job that a full queue turns away: another attempt later, or an honest end."""

import random
from typing import Literal

LastReason = Literal["deadline", "receives"]
"""Why another attempt would be in vain: it would come too late, or as a dead letter."""

_MOST_S = 30
_DOUBLINGS = 5

# OpenAI's codes for a failed response have no word for it; `type` may be any.
OVERLOADED = {
    "code": "server_error",
    "type": "server_overloaded",
    "message": "The server has more requests than it can answer. Please retry in a minute.",
}


class ShedError(Exception):
    """The response has ended, and says that the server was overloaded."""

    def __init__(self, stage: str, reason: LastReason) -> None:
        super().__init__(f"the stage '{stage}' is overloaded: {reason}")
        self.stage = stage
        self.reason = reason


def delay_s(receives: int) -> int:
    """Return for how long a job that was received so often stays away: longer each time."""
    longest = _longest_s(receives)
    return round(random.uniform(longest / 2, longest))  # noqa: S311 - spreads load


def why_none_follows(*, receives: int, most_receives: int, left_ms: int) -> LastReason | None:
    """Return why no other attempt can follow; None if one can.

    Parameters
    ----------
    left_ms : int
        Until the job's deadline.
    """
    if receives >= most_receives:  # the next receive would make it a dead letter
        return "receives"
    return "deadline" if left_ms <= _longest_s(receives) * 1000 else None


def _longest_s(receives: int) -> int:
    return min(_MOST_S, 1 << min(receives, _DOUBLINGS))
