"""Follows a process that loads a server: CPU time is read where its window begins and ends."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.cpu import all_processes, cpu_by_name, spent
from benchmarks.model import BenchmarkError

_BORDERS = (b"window", b"end")


class LoadError(BenchmarkError):
    """A peer that answers nothing, or a load generator that broke."""


async def follow(
    lines: asyncio.StreamReader,
    roots: Mapping[int, str],
    *,
    border: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Read up to the result; return it, and the CPU seconds of the window by name.

    Parameters
    ----------
    border
        Called where the window begins and where it ends.

    Raises
    ------
    LoadError
        When the process ends without a result.
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
