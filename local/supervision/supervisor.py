"""Starts programs in the order of their dependencies, keeps them running, stops them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from local.atomic_files import write_json
from local.errors import LocalCloudError
from local.supervision.log_rotation import keep_small
from local.supervision.program import Program
from local.supervision.program_runner import ProgramRunner
from local.supervision.run_files import RunFiles

STOP_WITHIN_S = 5.0
"""Time for a program to stop before it is killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """An action that runs once during the start, after the programs and tasks in `after`."""

    name: str
    run: Callable[[], Awaitable[None]]
    after: frozenset[str] = frozenset()


class Supervisor:
    """Runs programs and tasks.

    Parameters
    ----------
    files : RunFiles
        Where process ids, states and output go.
    steps : Sequence[Program | Task]
        Each names those that must be ready before it.
    announce : Callable[[str], None]
        Gets one line for each step that got ready and for each program that died.
    """

    def __init__(
        self,
        *,
        files: RunFiles,
        steps: Sequence[Program | Task],
        announce: Callable[[str], None],
    ) -> None:
        self._files = files
        self._announce = announce
        self._steps = {step.name: step for step in steps}
        self._ready = {step.name: asyncio.Event() for step in steps}
        self._began = time.monotonic()
        self._background: list[asyncio.Task[None]] = []
        self._stop_now = asyncio.Event()
        self._runners = {
            step.name: ProgramRunner(
                step, files=files, announce=announce, changed=self._write_state
            )
            for step in steps
            if isinstance(step, Program)
        }

    async def start(self) -> None:
        """Start all steps, each as soon as the steps it needs are ready.

        Raises
        ------
        LocalCloudError
            A step failed; the others are cancelled, and `stop` ends what already runs.
        """
        self._began = time.monotonic()
        self._background.append(asyncio.create_task(keep_small(self._files.log)))
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._steps:
                    group.create_task(self._run_step(name))
        except ExceptionGroup as errors:
            # One clear reason for the person at the terminal, not a group with a traceback.
            for error in errors.exceptions:
                if isinstance(error, LocalCloudError):
                    raise error from None
            raise

    async def stop(self) -> None:
        """Stop all programs: each before those that it depends on."""
        # First no program is restarted any more; else one that stops would be started again.
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for level in reversed(self._levels()):
            await asyncio.gather(*(self._stop(name) for name in level))

    def stop_now(self) -> None:
        """Make `stop`, also one that is under way, kill programs without waiting for them."""
        self._stop_now.set()

    async def _run_step(self, name: str) -> None:
        step = self._steps[name]
        for needed in step.after:
            await self._ready[needed].wait()
        began = time.monotonic()
        if isinstance(step, Program):
            await self._runners[name].start()
            self._background.append(asyncio.create_task(self._runners[name].keep_running()))
        else:
            await step.run()
        self._ready[name].set()
        now = time.monotonic()
        self._announce(f"{now - self._began:5.1f} s  {name} ready in {now - began:.1f} s")

    async def _stop(self, name: str) -> None:
        runner = self._runners[name]
        stopping = asyncio.create_task(runner.stop(within_s=STOP_WITHIN_S))
        impatient = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait({stopping, impatient}, return_when=asyncio.FIRST_COMPLETED)
        impatient.cancel()
        if not stopping.done():
            # The patient stop must have ended before the next begins: both would remove pid files.
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await runner.stop(within_s=0)

    def _levels(self) -> list[list[str]]:
        """Return the programs' names in levels: each depends on programs of earlier levels only."""
        depths: dict[str, int] = {}

        def depth(name: str) -> int:
            if name not in depths:
                step = self._steps[name]
                below = step.after | (step.uses if isinstance(step, Program) else frozenset())
                depths[name] = 1 + max(map(depth, below), default=-1)
            return depths[name]

        levels: dict[int, list[str]] = {}
        for name in self._runners:
            levels.setdefault(depth(name), []).append(name)
        return [levels[key] for key in sorted(levels)]

    def _write_state(self) -> None:
        processes = {
            name: {
                "pid": runner.pid,
                "state": runner.state,
                "since": runner.since,
                "restarts": runner.restarts,
            }
            for name, runner in self._runners.items()
        }
        write_json(self._files.state_file, {"processes": processes})
