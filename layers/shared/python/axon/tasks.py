"""Tasks that run beside each other: a set of them, and the race of one with an event."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class TaskSet:
    """Tasks that nobody awaits one by one: keeps them alive, and logs their errors.

    Parameters
    ----------
    error : str
        Log message for a task that has failed.
    """

    def __init__(self, *, error: str) -> None:
        self._error = error
        # The event loop keeps weak references only: a task that nobody holds may vanish.
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    async def complete(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result; it runs to its end also if the caller is cancelled."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait until all tasks have ended, also those that others start meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel all tasks, and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await self.drain()

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s", self._error, exc_info=error)


async def end(*tasks: asyncio.Task[Any], again_s: float = 5.0, within_s: float = 60.0) -> None:
    """Cancel tasks, and wait until all of them have ended, or do not end.

    Libraries can turn a cancellation into an error of their own, when both happen in the same step;
    a loop that retries after errors then continues. So the cancellation is repeated.

    Parameters
    ----------
    tasks : asyncio.Task[Any]
        Their results and errors are ignored.
    again_s : float
        Seconds after which tasks that have not ended are cancelled again; enough for what they do
        when they are cancelled.
    within_s : float
        Seconds after which tasks that have not ended are left: they wait for something that does
        not react to a cancellation, as a hung engine.
    """
    pending = set(tasks)
    until = asyncio.get_running_loop().time() + within_s
    while pending and asyncio.get_running_loop().time() < until:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)
    if pending:
        logger.error("%d tasks do not end: %s", len(pending), sorted(map(str, pending))[0])
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # else asyncio would log it as never retrieved


def extend(timeout: asyncio.Timeout, seconds: float) -> None:
    """Move the end of a timeout that is under way to `seconds` from now.

    Raises
    ------
    TimeoutError
        It has run out, though the caller has not been cancelled. A library can lose that
        cancellation when its own connection breaks in the same step; it then looks as if the wait
        had ended well, and to extend the timeout is a RuntimeError.
    """
    if timeout.expired():
        raise TimeoutError("the time was over before")
    timeout.reschedule(asyncio.get_running_loop().time() + seconds)


async def run_until(stop: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> bool:
    """Run coroutines until `stop` is set or one of them ends; cancel the others.

    Returns
    -------
    bool
        Whether a coroutine came to its end. Its error is raised; so is one that a coroutine raised
        in the same step in which `stop` was set.
    """
    stopping = asyncio.create_task(stop.wait())
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    done: set[asyncio.Task[Any]] = set()
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Also when this is cancelled itself. All are awaited, so that none outlives the call.
        await end(stopping, *tasks)
    for task in done:
        task.result()
    return done != {stopping}
