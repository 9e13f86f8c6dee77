"""Waits for a condition that other tasks or processes make true."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


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


def wait_until(
    probe: Callable[[], Value], *, timeout_s: float = 20, interval_s: float = 0.01
) -> Value:
    """Block until the probe returns something true, and return that.

    Parameters
    ----------
    probe : Callable[[], Value]
        Called at every look.
    timeout_s : float
        Time limit in seconds: generous, because it is reached only by a failing test.
    interval_s : float
        Seconds between two looks.

    Raises
    ------
    TimeoutError
        The probe returned nothing true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not hold in time")
        time.sleep(interval_s)
    return value
