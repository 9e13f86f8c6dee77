"""Keeps one program running."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import Literal

from local.atomic_files import replace_file
from local.errors import LocalCloudError
from local.supervision.leftovers import kill_group
from local.supervision.program import Program
from local.supervision.run_files import RunFiles
from local.supervision.spawning import last_line, prepare, spawn_options

POLL_S = 0.05
"""Pause between two readiness checks."""

STEADY_S = 10.0
"""A program that ran this long is restarted without a delay when it dies."""

FIRST_DELAY_S = 0.2
LAST_DELAY_S = 10.0

State = Literal["waiting", "starting", "ready", "restarting", "stopped"]
"""``waiting`` for other programs, ``starting`` until its readiness check passes, ``ready``;
``restarting`` from its death to its next readiness; ``stopped`` at the end."""


class ProgramRunner:
    """Starts a program, starts it again when it dies, stops it.

    Parameters
    ----------
    program : Program
        What to run.
    files : RunFiles
        Where its process id and its output go.
    announce : Callable[[str], None]
        Gets one line for each event that a person at the terminal should know.
    changed : Callable[[], None]
        Called after each change of `state` and `pid`.
    """

    def __init__(
        self,
        program: Program,
        *,
        files: RunFiles,
        announce: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.program = program
        self.state: State = "waiting"
        self.restarts = 0
        self.since = time.time()
        self._files = files
        self._log = files.log_file(program.name)
        self._announce = announce
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while the program runs."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and alive else None

    async def start(self) -> None:
        """Start the program and return when it is ready.

        Raises
        ------
        LocalCloudError
            It cannot be prepared, died, or was not ready in time.
        """
        self._enter("starting")
        await asyncio.to_thread(prepare, self.program)
        await self._spawn()
        await self._until_ready()
        self._enter("ready")

    async def keep_running(self) -> None:
        """Start the program again whenever it dies; runs until it is cancelled."""
        delay = 0.0
        while True:
            started = time.monotonic()
            code = await self._ended()
            # A program that dies at once, again and again, waits longer each time: restarting it
            # without pause would use up the CPU and fill its log.
            if time.monotonic() - started > STEADY_S:
                delay = 0.0
            self._announce(f"{self.program.name} {how_it_ended(code)}; restarting")
            delay = await self._restart(delay)

    async def stop(self, *, within_s: float) -> None:
        """Stop the program with its own signal, and kill it after `within_s`."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self.program.stop_signal)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within_s)
        # Also after a clean exit: grandchildren may still run.
        await self._kill()
        self._files.pid_file(self.program.name).unlink(missing_ok=True)
        self._enter("stopped")

    async def _spawn(self) -> None:
        with self._log.open("ab") as output:
            options = spawn_options(self.program, owner=self._files.owner, output=output.fileno())
            self._process = await asyncio.create_subprocess_exec(*self.program.command, **options)
        replace_file(self._files.pid_file(self.program.name), str(self._process.pid))
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
        """Start the program until that works; return the delay before its next restart."""
        while True:
            self._enter("restarting")
            # Grandchildren of the dead process hold its port or its data folder: end them first.
            await self._kill()
            await asyncio.sleep(delay)
            delay = min(max(FIRST_DELAY_S, 2 * delay), LAST_DELAY_S)
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
        """Kill the process group: the process, if it is alive, and its descendants."""
        if self._process is not None:
            kill_group(self._process.pid)
            await self._process.wait()

    def _enter(self, state: State) -> None:
        self.state = state
        self.since = time.time()
        self._changed()


def how_it_ended(code: int) -> str:
    """Return an exit code in words; it is negative for a signal."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended by itself with exit code {code}"
