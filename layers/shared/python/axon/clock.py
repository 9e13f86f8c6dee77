"""The time of day, as jobs and history records have it."""

import time


def now_ms() -> int:
    """Return milliseconds of the Unix epoch."""
    return time.time_ns() // 1_000_000
