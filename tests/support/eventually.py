"""Waits for a condition that other tasks or processes make true."""

import asyncio
from collections.abc import Callable


async def eventually(
    condition: Callable[[], object], *, timeout_s: float = 20, interval_s: float = 0.002
) -> None:
    """Return once the condition holds.

    Parameters
    ----------
    condition : Callable[[], object]
        Called at every look; anything true ends the wait.
    timeout_s : float
        Time limit in seconds: generous, because it is reached only by a failing test.
    interval_s : float
        Seconds between two looks; 0 only lets other tasks of the loop run.

    Raises
    ------
    TimeoutError
        The condition did not hold in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(interval_s)
