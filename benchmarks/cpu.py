"""CPU time and memory of named process trees."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """A process: its parent's pid, and the CPU seconds of itself and of its ended children.

    `mb`: its resident memory (RSS) in millions of bytes.
    """

    parent: int
    cpu_s: float
    mb: float = 0.0


def all_processes() -> dict[int, Usage]:
    """Return every process of the machine by pid."""
    found = {}
    for process in psutil.process_iter(["ppid", "cpu_times", "memory_info"]):
        if (times := process.info["cpu_times"]) is None:
            continue
        cpu_s = times.user + times.system + times.children_user + times.children_system
        memory = process.info["memory_info"]
        mb = memory.rss / 1e6 if memory is not None else 0.0
        found[process.pid] = Usage(process.info["ppid"], cpu_s, mb)
    return found


def cpu_by_name(processes: Mapping[int, Usage], roots: Mapping[int, str]) -> dict[str, float]:
    """Return CPU seconds by name; a process counts for its nearest ancestor in `roots`."""
    return _totals({pid: one.cpu_s for pid, one in processes.items()}, processes, roots)


def mb_by_name(processes: Mapping[int, Usage], roots: Mapping[int, str]) -> dict[str, float]:
    """Return resident memory by name; a process counts for its nearest ancestor in `roots`."""
    return _totals({pid: one.mb for pid, one in processes.items()}, processes, roots)


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds between two readings of `cpu_by_name`."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}


def _totals(
    values: Mapping[int, float], processes: Mapping[int, Usage], roots: Mapping[int, str]
) -> dict[str, float]:
    totals = dict.fromkeys(roots.values(), 0.0)
    for pid, value in values.items():
        if (name := _owner(pid, processes, roots)) is not None:
            totals[name] += value
    return totals


def _owner(pid: int, processes: Mapping[int, Usage], roots: Mapping[int, str]) -> str | None:
    while pid in processes:
        if pid in roots:
            return roots[pid]
        pid = processes[pid].parent
    return None
