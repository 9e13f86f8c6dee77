"""A stage of the pipeline: slots for work of one kind, and the bounded queue before them."""

import asyncio
import time
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, NamedTuple

from typing_extensions import override

from worker.stage_metrics import StageMetrics

_CLOSE_TIMEOUT_S = 5.0


class StageFullError(Exception):
    """A stage's queue has no room for a caller, or gave its place to one of a higher priority."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"the queue of the stage '{stage}' is full")
        self.stage = stage


class _Waiter:
    """A caller in the queue; `turn` is done when it owns a slot, or fails when it gets none."""

    __slots__ = ("rank", "turn")

    def __init__(self, rank: tuple[int, int]) -> None:
        self.rank = rank
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: "_Waiter") -> bool:
        return self.rank < other.rank


class _Held(NamedTuple):
    """A slot that a task holds, and the clock's seconds when it got it."""

    task: asyncio.Task[Any]
    began: float


class _Slot(AbstractAsyncContextManager[None]):
    """A slot of a stage as a context; a generator as one would cost twice as much (ADR 39)."""

    __slots__ = ("_enter", "_held", "_leave", "_priority")
    _held: _Held

    def __init__(
        self,
        enter: Callable[[int], Awaitable[_Held]],
        leave: Callable[[_Held, BaseException | None], None],
        priority: int,
    ) -> None:
        self._enter = enter
        self._leave = leave
        self._priority = priority

    @override
    async def __aenter__(self) -> None:
        self._held = await self._enter(self._priority)

    @override
    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave(self._held, error)


class Stage:
    """A priority semaphore with a bounded queue and metrics.

    Up to `slots` callers hold a slot at a time. Up to `size` more wait for one: higher priorities
    first, equal ones in the order of their arrival. A freed slot passes directly to the first
    waiter, so a caller that arrives in between cannot take it.

    Parameters
    ----------
    name : str
        Name in metrics and errors.
    size : int
        Callers that may wait.
    slots : int
        Callers that may work at a time.
    metrics : StageMetrics
        Metrics of this stage.
    blocks_when_full : bool
        Let callers wait for room in a full queue instead of refusing them.
    clock : Callable[[], float]
        Monotonic time in seconds, for the metrics.
    """

    def __init__(
        self,
        name: str,
        *,
        size: int,
        slots: int,
        metrics: StageMetrics,
        blocks_when_full: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self._size = size
        self._free = slots
        self._metrics = metrics
        self._blocks_when_full = blocks_when_full
        self._clock = clock
        self._queue: list[_Waiter] = []
        # Callers that wait for a place in the queue; only of a stage that blocks when full.
        self._overflow: list[_Waiter] = []
        self._holders: set[asyncio.Task[Any]] = set()
        self._arrivals = 0
        metrics.watch(depth=lambda: self.depth)

    @property
    def depth(self) -> int:
        """Callers that wait in the queue."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """Return whether a caller that arrived now would have to wait."""
        return not self._free

    @property
    def running(self) -> int:
        """Callers that hold a slot."""
        return len(self._holders)

    def slot(self, priority: int = 0) -> AbstractAsyncContextManager[None]:
        """Hold a slot of the stage inside the context; wait in the queue for it first.

        A task holds at most one slot of a stage. What the context raises counts as an error of
        the stage; a cancellation counts as nothing.

        Parameters
        ----------
        priority : int
            Place in the queue: higher ones go first. In a full queue the newest waiter of the
            lowest priority is refused in favour of one with a higher priority.

        Raises
        ------
        StageFullError
            The queue is full, or a later caller of a higher priority took this one's place.
        """
        return _Slot(self._enter, self._leave, priority)

    async def close(self) -> None:
        """Cancel the tasks that hold or wait for a slot; wait for the holders' ends, up to 5 s."""
        # Waiters first: the slots that the holders free must not start any of them.
        for waiter in (*self._overflow, *self._queue):
            waiter.turn.cancel()
        holders = list(self._holders)
        for task in holders:
            task.cancel()
        if holders:
            await asyncio.wait(holders, timeout=_CLOSE_TIMEOUT_S)

    async def _enter(self, priority: int) -> _Held:
        arrived = self._clock()
        await self._acquire(priority)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._holders.add(task)
        began = self._clock()
        self._metrics.waited(began - arrived)
        return _Held(task, began)

    def _leave(self, held: _Held, error: BaseException | None) -> None:
        seconds = self._clock() - held.began
        if error is None:
            self._metrics.processed(seconds)
        elif isinstance(error, Exception):
            self._metrics.failed(error, seconds)
        self._holders.discard(held.task)
        self._release()

    async def _acquire(self, priority: int) -> None:
        if self._free:
            self._free -= 1
            return
        self._arrivals += 1
        waiter = _Waiter((-priority, self._arrivals))
        self._enqueue(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def _release(self) -> None:
        self._free += 1
        self._admit()

    def _enqueue(self, waiter: _Waiter) -> None:
        if len(self._queue) < self._size:
            insort(self._queue, waiter)
        elif self._blocks_when_full:
            insort(self._overflow, waiter)
        elif self._queue[-1].rank[0] > waiter.rank[0]:  # the last one has a lower priority
            displaced = self._queue.pop()
            # A cancelled waiter stays in the queue until its task runs again: nobody awaits it.
            if not displaced.turn.cancelled():
                displaced.turn.set_exception(StageFullError(self.name))
            insort(self._queue, waiter)
        else:
            raise StageFullError(self.name)

    def _withdraw(self, waiter: _Waiter) -> None:
        """Remove a caller that was cancelled while it waited.

        A cancellation may arrive after the turn was decided but before the caller has run again.
        A slot that it was given must then be passed on, or it would be lost for good.
        """
        if waiter.turn.cancelled():
            if not _remove(self._queue, waiter):
                _remove(self._overflow, waiter)
            self._admit()
        elif waiter.turn.exception() is None:
            self._release()

    def _admit(self) -> None:
        """Give free slots to the first waiters, and free places in the queue to the overflow."""
        while self._free and self._queue:
            waiter = self._queue.pop(0)
            if not waiter.turn.cancelled():
                self._free -= 1
                waiter.turn.set_result(None)
            self._refill()
        self._refill()

    def _refill(self) -> None:
        if self._overflow and len(self._queue) < self._size:
            insort(self._queue, self._overflow.pop(0))


def _remove(waiters: list[_Waiter], waiter: _Waiter) -> bool:
    """Remove a waiter from a sorted list; return whether it was there."""
    index = bisect_left(waiters, waiter)
    found = index < len(waiters) and waiters[index] is waiter
    if found:
        del waiters[index]
    return found
