"""Samples of the memory of each process and of Valkey, and whether it stays flat."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import psutil

from axon.adapters.valkey.client import Valkey
from axon.exceptions import UnavailableError
from tests.hostile.cloud import HostileCloud

SAMPLE_S = 1.0
_FLAT = 1.1
_ROOM_MB = 8.0
"""Growth that is allowed beyond `_FLAT`: caches and pools whose size does not depend on time."""
DATA = "valkey's data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The memory of one process in the second and in the last third of a run, in MB (medians)."""

    name: str
    before: float
    after: float
    most: float

    @property
    def flat(self) -> bool:
        """True if it has not grown more than the bounds allow."""
        return self.after <= _FLAT * self.before + _ROOM_MB


class MemoryWatch:
    """Samples memory and process ids once a second.

    Parameters
    ----------
    cloud : HostileCloud
        The cloud that is watched.
    valkey : Valkey
        Its Valkey.
    file : Path
        Gets a line of JSON for each sample.
    """

    def __init__(self, *, cloud: HostileCloud, valkey: Valkey, file: Path) -> None:
        self._cloud = cloud
        self._valkey = valkey
        self._file = file
        self._first = cloud.pids()
        self.samples: list[Mapping[str, float]] = []
        self.died: set[str] = set()

    async def run(self) -> None:
        """Sample until cancelled."""
        with self._file.open("a") as file:
            while True:
                pids = self._cloud.pids()
                self.died |= {name for name, pid in self._first.items() if pids.get(name) != pid}
                sample = {name: _private_mb(pid) for name, pid in pids.items()}
                with suppress(UnavailableError):
                    memory = await self._valkey.call("INFO", "memory")
                    sample[DATA] = int(memory["used_memory"]) / 1e6
                self.samples.append(sample)
                file.write(json.dumps(sample) + "\n")
                await asyncio.sleep(SAMPLE_S)

    def trends(self) -> list[Trend]:
        """Return the trend of each process."""
        return trends(self.samples)


def trends(samples: Sequence[Mapping[str, float]]) -> list[Trend]:
    """Return the trend of each process; the first third of the samples is the warm-up."""
    third = len(samples) // 3
    names = samples[-1] if samples else {}
    return [
        Trend(
            name=name,
            before=median(_values(samples[third : 2 * third], name)),
            after=median(_values(samples[2 * third :], name)),
            most=max(_values(samples, name)),
        )
        for name in names
    ]


def _values(samples: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [sample[name] for sample in samples if name in sample] or [0.0]


def _private_mb(pid: int) -> float:
    """Return the memory that a process does not share, a mean over it and its children.

    A mean, because the functions' environments come and go with the load.
    """
    sizes = []
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                memory = process.memory_info()
                sizes.append((memory.rss - memory.shared) / 1e6)
    return mean(sizes) if sizes else 0.0
