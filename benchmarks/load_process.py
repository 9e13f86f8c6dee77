"""Reads the output of a load generator, and the servers' CPU time in its measured window."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.cpu import all_processes, cpu_by_name, spent
from benchmarks.model import BenchmarkError

_BORDERS = (b"window", b"end")


class LoadError(BenchmarkError):
    """A peer does not answer, or a load generator failed."""


async def read_result(
    lines: asyncio.StreamReader,
    roots: Mapping[int, str],
    *,
    border: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Read the lines of a load generator up to its result.

    Parameters
    ----------
    roots : Mapping[int, str]
        Names of the server processes by pid.
    border : Callable[[], None]
        Called where the window begins and where it ends.

    Returns
    -------
    tuple[dict[str, Any], dict[str, float]]
        The result, and the CPU seconds of the window by process name (empty without a whole
        window).

    Raises
    ------
    LoadError
        The process ended without a result.
    """
    readings: list[dict[str, float]] = []
    async for line in lines:
        if line.startswith(b"{"):
            cpu_s = spent(*readings) if len(readings) == 2 else {}
            return json.loads(line), cpu_s
        if line.strip() in _BORDERS:
            border()
            readings.append(cpu_by_name(all_processes(), roots))
    raise LoadError("the load generator ended without a result")
