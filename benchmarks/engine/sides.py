"""The sides: the whole of Axon with the engine, and the engine alone; both stay loaded."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks import peers
from benchmarks.engine.model import AXON, DIRECT, Leg, Work, WorkResult
from benchmarks.environments import BENCH, ROOT
from benchmarks.load_process import LoadError, read_result
from benchmarks.peers import Peer
from benchmarks.worker_process import worker_pid

_LOADING_S = 600.0
_LEG_S = 300.0
# An engine's threads spin for some time after their last work: that must not slow the other side.
_REST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """All sides, loaded; only one works at a time."""

    cloud: Peer
    alone: asyncio.subprocess.Process

    async def leg(self, side: str, work: Work) -> Leg:
        """Run one leg of a side.

        Raises
        ------
        LoadError
            It took too long, or its load generator failed.
        """
        await asyncio.sleep(_REST_S)
        asked = self._direct(work) if side == DIRECT else self._axon(work, url=self._url(side))
        try:
            seen, cpu_s = await asyncio.wait_for(asked, _LEG_S)
        except TimeoutError as error:
            raise LoadError(f"{side}: {work} did not end in {_LEG_S:g} s") from error
        idle_cpu_s = cpu_s.pop("idle", 0.0)
        return Leg(side=side, work=work, seen=seen, cpu_s=cpu_s, idle_cpu_s=idle_cpu_s)

    async def _direct(self, work: Work) -> tuple[WorkResult, dict[str, float]]:
        assert self.alone.stdin is not None
        assert self.alone.stdout is not None
        self.alone.stdin.write(json.dumps(asdict(work)).encode() + b"\n")
        roots = dict.fromkeys(self.cloud.roots(), "idle") | {self.alone.pid: "engine"}
        seen, cpu_s = await read_result(self.alone.stdout, roots)
        return WorkResult(**seen), cpu_s

    def _url(self, side: str) -> str:
        return self.cloud.url if side == AXON else f"{self.cloud.front_url}/responses"

    async def _axon(self, work: Work, *, url: str) -> tuple[WorkResult, dict[str, float]]:
        arguments = json.dumps({"url": url, "model": self.cloud.model, "work": asdict(work)})
        command = [sys.executable, "-m", "benchmarks.engine.axon_load", arguments]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            seen, cpu_s = await read_result(
                process.stdout, self.cloud.roots() | {self.alone.pid: "idle"}
            )
        finally:
            await _end(process)
        return WorkResult(**seen), cpu_s


@asynccontextmanager
async def open_sides(cloud: Peer, *, engine_core: int | None = None) -> AsyncIterator[Sides]:
    """Start the engine alone, with the interpreter and the environment of the cloud's worker.

    Parameters
    ----------
    engine_core : int | None
        The only core of both engines' own processes; None for any.
    """
    pid = worker_pid(cloud.roots())
    if pid is None:
        raise LoadError("the local cloud has no worker")
    worker = psutil.Process(pid)
    _log().parent.mkdir(parents=True, exist_ok=True)
    with _log().open("wb") as log:
        alone = await asyncio.create_subprocess_exec(
            worker.cmdline()[0],
            "-m",
            "benchmarks.engine.direct",
            env=worker.environ(),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        await _ready(alone)
        if engine_core is not None:
            pin_children(pid, engine_core)
            pin_children(alone.pid, engine_core)
        yield Sides(cloud=cloud, alone=alone)
    finally:
        await _end(alone)


def pin_children(pid: int, core: int) -> None:
    """Pin a process's child processes, with all their threads, to one core."""
    for child in psutil.Process(pid).children(recursive=True):
        for thread in child.threads():
            os.sched_setaffinity(thread.id, {core})


async def start_cloud(
    engine: str,
    *,
    name: str,
    model: Path | None,
    python: Path | None,
    settings: dict[str, str],
    workers: int = 1,
) -> Peer:
    """Start the local cloud with this engine; `name` is its model's name in requests."""
    arguments = ["--engine", engine, "--workers", str(workers)]
    if model is not None:
        arguments += ["--model", str(model)]
    if python is not None:
        arguments += ["--python", str(python)]
    return await peers.start_cloud(*arguments, model=name, settings=settings, within_s=_LOADING_S)


async def _ready(alone: asyncio.subprocess.Process) -> None:
    assert alone.stdout is not None
    try:
        line = await asyncio.wait_for(alone.stdout.readline(), _LOADING_S)
    except TimeoutError:
        line = b""
    if line.strip() != b"ready":
        raise LoadError(f"the engine alone did not start: {_log()}")


def _log() -> Path:
    return BENCH / "log" / "engine.log"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the process's input, which ends the engine; kill what is left of its process tree."""
    tree = []
    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), 20)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    for left in tree:
        with suppress(psutil.NoSuchProcess):
            left.kill()
