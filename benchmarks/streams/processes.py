"""The load's processes: started together, each told what to do, each with one result."""

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from benchmarks.load_process import LoadError
from benchmarks.model import BenchmarkError

_STARTING_S = 60.0
_OUTPUT_LIMIT = 2**26
FILES_BESIDE = 500
"""Files that a process has open beside its connections; more than enough."""


class LoadProcess:
    """A process that reads lines of JSON, and answers with lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def send(self, content: object) -> None:
        """Send it a line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content).encode() + b"\n")

    async def read(self, *, within_s: float) -> bytes:
        """Return its next line.

        Raises
        ------
        LoadError
            It has ended, or written none in this time.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), within_s)
        except TimeoutError as error:
            raise LoadError(f"a load process wrote nothing for {within_s:.0f} s") from error
        if not line:
            raise LoadError("a load process ended without a result")
        return line.strip()

    async def result(self, *, within_s: float) -> dict[str, Any]:
        """Return its result.

        Raises
        ------
        LoadError
            As `read`.
        """
        values: dict[str, Any] = json.loads(await self.read(within_s=within_s))
        return values

    async def kill(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def open_processes(module: str, count: int) -> AsyncIterator[Sequence[LoadProcess]]:
    """Start processes of a module of this package; give them once they are ready."""
    processes: list[LoadProcess] = []
    try:
        for _ in range(count):
            started = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"benchmarks.streams.{module}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_OUTPUT_LIMIT,
            )
            processes.append(LoadProcess(started))
        for process in processes:
            await process.read(within_s=_STARTING_S)
        yield processes
    finally:
        for process in processes:
            await process.kill()


def allow_files(connections: int) -> None:
    """Raise the limit of open files of processes that are started from now on for connections.

    Raises
    ------
    BenchmarkError
        The hard limit of open files is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchmarkError(
            f"{connections} connections need {needed} open files, and the hard limit is {hard}: "
            "raise it (`ulimit -Hn`, or `LimitNOFILE` of the service)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
