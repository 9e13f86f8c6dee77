"""Calls that wait for each other: what arrives while one is under way goes with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Collects items into batches of at most `size` without delaying the first.

    Parameters
    ----------
    flush : Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
        Sends a batch; returns for each item, in order, its result or why it failed.
    size : int
        Most items in a batch (SQS takes 10).
    weigh, max_weight
        An item's weight and the most that a batch may weigh (SQS: bytes); an item that is heavier
        goes alone.
    drop_cancelled : bool
        True to send no item whose `submit` was cancelled before its batch began. While the service
        hangs, items that were given up would otherwise delay all later ones.
    parallel : int
        Most batches under way at a time. Another one begins only while a full batch waits: items
        that trickle in are still joined. Batches under way may be applied in any order.
    longest_wait_s : float | None
        Seconds that an item waits for batches under way: then what waits goes as another batch,
        beyond `parallel`. None: for as long as they take.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        size: int = 10,
        weigh: Callable[[T], int] = lambda _: 0,
        max_weight: int = 0,
        drop_cancelled: bool = False,
        parallel: int = 1,
        longest_wait_s: float | None = None,
    ) -> None:
        self._flush = flush
        self._size = size
        self._weigh = weigh
        self._max_weight = max_weight
        self._drop_cancelled = drop_cancelled
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._parallel = parallel
        self._longest_wait_s = longest_wait_s
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: T) -> R:
        """Send an item with the next batch and return its result.

        Raises
        ------
        Exception
            What `flush` returned for it, or raised.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, done))
        full = len(self._waiting) >= self._size
        if not self._tasks or (full and len(self._tasks) < self._parallel):
            self._begin()
        elif self._longest_wait_s is not None and self._timer is None:
            self._timer = loop.call_later(self._longest_wait_s, self._stop_waiting)
        return await done

    def _begin(self, *, at_once: bool = False) -> None:
        self._tasks.add(asyncio.create_task(self._run(at_once=at_once)))

    def _stop_waiting(self) -> None:
        self._timer = None
        # The item that the timer was started for may have gone: then later ones go a little early.
        if self._waiting:
            self._begin(at_once=True)

    async def _run(self, *, at_once: bool = False) -> None:
        try:
            while self._has_batch() or (at_once and self._waiting):
                batch = self._next_batch()
                if at_once and self._waiting:
                    # All that waits has waited long enough, and this batch may hang, too.
                    self._begin(at_once=True)
                at_once = False
                await self._send(batch)
        finally:
            # Before anything else runs: an item that is submitted from here on needs a new task.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _has_batch(self) -> bool:
        """Return whether to send: the last task sends whatever waits, another one full batches."""
        if self._drop_cancelled:
            self._waiting = [each for each in self._waiting if not each[1].cancelled()]
        return len(self._waiting) >= (1 if len(self._tasks) == 1 else self._size)

    def _next_batch(self) -> list[tuple[T, asyncio.Future[R]]]:
        count, weight = 1, self._weigh(self._waiting[0][0])
        for item, _ in self._waiting[1 : self._size]:
            weight += self._weigh(item)
            if weight > self._max_weight:
                break
            count += 1
        batch = self._waiting[:count]
        del self._waiting[:count]
        return batch

    async def _send(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        outcomes: Sequence[R | Exception]
        try:
            outcomes = await self._flush([item for item, _ in batch])
        except Exception as error:
            outcomes = [error] * len(batch)
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            if done.done():
                continue
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
