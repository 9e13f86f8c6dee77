"""One program kept running."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from local.errors import LocalCloudError
from local.files import replace_file
from local.stack.folders import Folders
from local.supervision.children import last_line, prepare, spawn_options
from local.supervision.leftovers import kill_group
from local.supervision.program import Program

POLL_S = 0.05
STEADY_S = 10.0
LAST_DELAY_S = 10.0

State = Literal["waiting", "starting", "ready", "restarting", "stopped"]


class Supervised:
    """Starts a program, starts it again when it dies, stops it.

    Parameters
    ----------
    announce
        Told, in one line, what a person at the terminal should know.
    changed
        Called after each change of `state` and `pid`.
    """

    def __init__(
        self,
        program: Program,
        *,
        folders: Folders,
        announce: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.program = program
        self.state: State = "waiting"
        self.restarts = 0
        self.since = time.time()
        self._folders = folders
        self._announce = announce
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and alive else None

    @property
    def _log(self) -> Path:
        return self._folders.log / f"{self.program.name}.log"

    async def start(self) -> None:
        """Start it and return when it is ready; LocalCloudError when that fails."""
        self._enter("starting")
        await asyncio.to_thread(prepare, self.program)
        await self._spawn()
        await self._until_ready()
        self._enter("ready")

    async def keep(self) -> None:
        """Start it again whenever it dies, for ever."""
        delay = 0.0
        while True:
            started = time.monotonic()
            code = await self._ended()
            if time.monotonic() - started > STEADY_S:
                delay = 0.0
            self._announce(f"{self.program.name} {how_it_ended(code)}; restarting")
            delay = await self._restart(delay)

    async def stop(self, *, within_s: float) -> None:
        """Stop it the way it likes, by force after `within_s`."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self.program.stop_signal)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within_s)
        await self._kill()
        self._folders.pid_file(self.program.name).unlink(missing_ok=True)
        self._enter("stopped")

    async def _spawn(self) -> None:
        with self._log.open("ab") as output:
            options = spawn_options(self.program, owner=self._folders.owner, output=output.fileno())
            self._process = await asyncio.create_subprocess_exec(*self.program.command, **options)
        replace_file(self._folders.pid_file(self.program.name), str(self._process.pid))
        self._changed()

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + self.program.ready_within_s
        while True:
            pid = self.pid
            if pid is None or time.monotonic() > deadline:
                await self._kill()
                why = last_line(self._log) if pid is None else "it did not get ready in time"
                raise LocalCloudError(f"{self.program.name} did not start: {why}")
            if await asyncio.to_thread(self.program.ready, pid):
                return
            await asyncio.sleep(POLL_S)

    async def _ended(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.program.name} was never started")
        return await self._process.wait()

    async def _restart(self, delay: float) -> float:
        """Start it until that works; return the delay to begin with when it dies again."""
        while True:
            self._enter("restarting")
            await self._kill()
            await asyncio.sleep(delay)
            delay = min(max(0.2, 2 * delay), LAST_DELAY_S)
            self.restarts += 1
            began = time.monotonic()
            try:
                await self.start()
            except (LocalCloudError, OSError) as error:
                self._announce(f"{error}; trying again in {delay:.1f} s")
            else:
                took = time.monotonic() - began
                self._announce(f"{self.program.name} is ready again ({took:.1f} s)")
                return delay

    async def _kill(self) -> None:
        """End what is left of it, grandchildren included."""
        if self._process is not None:
            kill_group(self._process.pid)
            await self._process.wait()

    def _enter(self, state: State) -> None:
        self.state = state
        self.since = time.time()
        self._changed()


def how_it_ended(code: int) -> str:
    """Say it in words; `code` is negative for a signal."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended by itself with exit code {code}"
