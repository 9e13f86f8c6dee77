"""A stage: a bounded queue, and the runners that work it off."""

import asyncio
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from worker.metrics import StageMetrics

T = TypeVar("T")


class StageFullError(Exception):
    """A stage's queue has no room for this item, or gave it to one of a higher priority."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"the queue of the stage '{stage}' is full")
        self.stage = stage


class _Item:
    """A caller that waits for its turn; `rank` is its place in the queue."""

    __slots__ = ("rank", "turn")

    def __init__(self, rank: tuple[int, int]) -> None:
        self.rank = rank
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: "_Item") -> bool:
        return self.rank < other.rank


class Stage:
    """Runs up to `concurrency` calls at a time; up to `size` more wait, by priority, then in order.

    Each call runs in a task of its own, with its caller's context: cancelling the caller cancels
    that task alone, or takes it out of the queue.

    Parameters
    ----------
    patient : bool
        Wait for room in a full queue instead of raising.
    clock : Callable[[], float]
        Seconds, for the metrics.
    """

    def __init__(
        self,
        name: str,
        *,
        size: int,
        concurrency: int,
        metrics: StageMetrics,
        patient: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self._size = size
        self._free = concurrency
        self._metrics = metrics
        self._patient = patient
        self._clock = clock
        self._queue: list[_Item] = []
        self._outside: list[_Item] = []  # without room; only of a patient stage
        self._runners: set[asyncio.Task[Any]] = set()
        self._arrivals = 0
        metrics.watch(depth=lambda: self.depth)

    @property
    def depth(self) -> int:
        """Calls that wait in the queue."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """Whether a call that came now would have to wait."""
        return not self._free

    @property
    def running(self) -> int:
        """Calls under way."""
        return len(self._runners)

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]], *, priority: int = 0) -> T:
        """Run a call when its turn comes, and return its result.

        A full queue gives an item of a lower priority up, the newest one of the lowest.

        Raises
        ------
        StageFullError
            The queue is full, or a later item of a higher priority took its place.
        """
        arrived = self._clock()
        if self._free:
            self._free -= 1
        else:
            await self._wait(priority)
        try:
            return await self._process(call, arrived)
        finally:
            self._free += 1
            self._admit()

    async def close(self) -> None:
        """Cancel what runs and what waits."""
        for item in (*self._outside, *self._queue):
            item.turn.cancel()
        runners = list(self._runners)
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)

    async def _process(self, call: Callable[[], Coroutine[Any, Any, T]], arrived: float) -> T:
        began = self._clock()
        self._metrics.waited(began - arrived)
        runner = asyncio.create_task(call(), name=f"stage-{self.name}")
        self._runners.add(runner)
        try:
            result = await runner
        except asyncio.CancelledError:
            if runner.done() and not runner.cancelled():
                runner.exception()  # it failed in the same instant, which nobody asks for now
            raise
        except Exception as error:
            self._metrics.failed(error, self._clock() - began)
            raise
        finally:
            self._runners.discard(runner)
        self._metrics.processed(self._clock() - began)
        return result

    async def _wait(self, priority: int) -> None:
        """Wait for a free runner; it is this caller's then."""
        self._arrivals += 1
        item = _Item((-priority, self._arrivals))
        self._enter(item)
        try:
            await item.turn
        except asyncio.CancelledError:
            self._leave(item)
            raise

    def _enter(self, item: _Item) -> None:
        if len(self._queue) < self._size:
            insort(self._queue, item)
        elif self._patient:
            insort(self._outside, item)
        elif self._queue[-1].rank[0] > item.rank[0]:  # of a lower priority
            displaced = self._queue.pop()
            if not displaced.turn.cancelled():
                displaced.turn.set_exception(StageFullError(self.name))
            insort(self._queue, item)
        else:
            raise StageFullError(self.name)

    def _leave(self, item: _Item) -> None:
        """Leave no trace of a caller that was cancelled."""
        if item.turn.cancelled():
            if not _remove(self._queue, item):
                _remove(self._outside, item)
            self._admit()
        elif item.turn.exception() is None:  # cancelled in the instant in which its turn came
            self._free += 1
            self._admit()

    def _admit(self) -> None:
        while self._free and self._queue:
            item = self._queue.pop(0)
            if not item.turn.cancelled():
                self._free -= 1
                item.turn.set_result(None)
            self._refill()
        self._refill()

    def _refill(self) -> None:
        if self._outside and len(self._queue) < self._size:
            insort(self._queue, self._outside.pop(0))


def _remove(items: list[_Item], item: _Item) -> bool:
    index = bisect_left(items, item)
    found = index < len(items) and items[index] is item
    if found:
        del items[index]
    return found
