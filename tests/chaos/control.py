"""Faults that a process does to itself, as the harness asks for them in a file of shared memory."""

import mmap
import os
import struct
import time
from pathlib import Path

FILE_VARIABLE = "CHAOS_CONTROL"
_CLOCK = struct.Struct("<d")
_HANGS = struct.Struct("<II")
_SIZE = _CLOCK.size + _HANGS.size


class Control:
    """The file of one program; it outlives the program's processes."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, _SIZE)
        self._map = mmap.mmap(descriptor, _SIZE)
        os.close(descriptor)

    @property
    def clock_s(self) -> float:
        """Seconds by which the process's wall clock is ahead."""
        return float(_CLOCK.unpack_from(self._map)[0])

    @clock_s.setter
    def clock_s(self, ahead_s: float) -> None:
        _CLOCK.pack_into(self._map, 0, ahead_s)

    @property
    def hangs(self) -> int:
        """Number of times that the engine was made to hang: one that starts later does not."""
        return int(self._hangs[0])

    @property
    def aborts_hang(self) -> int:
        """The value of `hangs` from which on aborting hangs as well; 0 if it does not."""
        return int(self._hangs[1])

    def hang(self, *, in_abort: bool) -> None:
        """Make the engine that runs now generate no further token, for ever."""
        hangs = self.hangs + 1
        _HANGS.pack_into(self._map, _CLOCK.size, hangs, hangs if in_abort else 0)

    @property
    def _hangs(self) -> tuple[int, ...]:
        return _HANGS.unpack_from(self._map, _CLOCK.size)


def shift_clock(control: Control) -> None:
    """Make `time.time` and `time.time_ns` of this process follow the file."""
    true_time, true_time_ns = time.time, time.time_ns
    vars(time)["time"] = lambda: true_time() + control.clock_s
    vars(time)["time_ns"] = lambda: true_time_ns() + int(control.clock_s * 1e9)
