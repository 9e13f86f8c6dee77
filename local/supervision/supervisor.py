"""Starts a set of programs in the order they depend on each other, keeps them up, stops them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from local.errors import LocalCloudError
from local.files import write_json
from local.stack.folders import Folders
from local.supervision.logs import keep_small
from local.supervision.program import Program
from local.supervision.supervised import Supervised

STOP_WITHIN_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Something to be done once while starting, after the programs and tasks it needs."""

    name: str
    run: Callable[[], Awaitable[None]]
    after: frozenset[str] = frozenset()


class Supervisor:
    """Runs programs.

    Parameters
    ----------
    steps
        Programs and tasks; each names those that must be ready before it.
    announce
        Gets one line for each step that got ready and for each program that died.
    """

    def __init__(
        self,
        *,
        folders: Folders,
        steps: Sequence[Program | Task],
        announce: Callable[[str], None],
    ) -> None:
        self._folders = folders
        self._announce = announce
        self._steps = {step.name: step for step in steps}
        self._ready = {step.name: asyncio.Event() for step in steps}
        self._began = time.monotonic()
        self._background: list[asyncio.Task[None]] = []
        self._hurry = asyncio.Event()
        self._supervised = {
            step.name: Supervised(
                step, folders=folders, announce=announce, changed=self._write_state
            )
            for step in steps
            if isinstance(step, Program)
        }

    async def start(self) -> None:
        """Start everything; LocalCloudError as soon as one step fails."""
        self._began = time.monotonic()
        self._background.append(asyncio.create_task(keep_small(self._folders.log)))
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._steps:
                    group.create_task(self._take(name))
        except ExceptionGroup as errors:
            for error in errors.exceptions:
                if isinstance(error, LocalCloudError):
                    raise error from None
            raise

    async def stop(self) -> None:
        """Stop everything, what depends on others first."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for level in reversed(self._levels()):
            await asyncio.gather(*(self._stop(name) for name in level))

    def hurry(self) -> None:
        """Let a stop that is under way wait for nobody."""
        self._hurry.set()

    async def _take(self, name: str) -> None:
        step = self._steps[name]
        for needed in step.after:
            await self._ready[needed].wait()
        began = time.monotonic()
        if isinstance(step, Program):
            await self._supervised[name].start()
            self._background.append(asyncio.create_task(self._supervised[name].keep()))
        else:
            await step.run()
        self._ready[name].set()
        now = time.monotonic()
        self._announce(f"{now - self._began:5.1f} s  {name} ready in {now - began:.1f} s")

    async def _stop(self, name: str) -> None:
        program = self._supervised[name]
        stopping = asyncio.create_task(program.stop(within_s=STOP_WITHIN_S))
        hurrying = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not stopping.done():
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await program.stop(within_s=0)

    def _levels(self) -> list[list[str]]:
        """Return the programs' names by depth: none depends on one of its own level or a later."""
        depths: dict[str, int] = {}

        def depth(name: str) -> int:
            if name not in depths:
                step = self._steps[name]
                below = step.after | (step.uses if isinstance(step, Program) else frozenset())
                depths[name] = 1 + max(map(depth, below), default=-1)
            return depths[name]

        levels: dict[int, list[str]] = {}
        for name in self._supervised:
            levels.setdefault(depth(name), []).append(name)
        return [levels[key] for key in sorted(levels)]

    def _write_state(self) -> None:
        processes = {
            name: {
                "pid": program.pid,
                "state": program.state,
                "since": program.since,
                "restarts": program.restarts,
            }
            for name, program in self._supervised.items()
        }
        write_json(self._folders.run / "state.json", {"processes": processes})
