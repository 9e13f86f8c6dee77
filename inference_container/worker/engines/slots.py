"""Slots of an engine: bound how many generations run at once, and end generations by id.

A free slot goes to the generation with the highest priority, of equals to the one that waited
longest.
"""

import asyncio
from bisect import insort

from worker.engines.protocol import EngineDeadError


class Generation:
    """One generation, and its wait for a slot, a time, its tokens or its end.

    States: queued, running (`has_slot`), ended. It may end in either of the first two, by `end`
    (from outside) or by `Slots.leave` (its own stream). One task waits at a time.
    """

    __slots__ = ("_waiter", "ended", "error", "has_slot", "priority", "request_id")

    def __init__(self, request_id: str, *, priority: int = 0) -> None:
        self.request_id = request_id
        self.priority = priority
        self.has_slot = False
        self.ended = False
        self.error: EngineDeadError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Make ``wait`` return."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, error: EngineDeadError | None = None) -> None:
        """End the generation from outside; without an error its stream just stops."""
        self.ended = True
        self.error = error
        self.wake()

    async def wait(self, until: float | None = None) -> None:
        """Sleep until woken, or until this time of the loop's clock, in seconds.

        It may return early; the caller checks its condition in a loop.
        """
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if until is None else loop.call_at(until, self.wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def is_running(self) -> bool:
        """Return whether the generation was not ended.

        Raises
        ------
        EngineDeadError
            The error that ended it, if one did.
        """
        if self.error is not None:
            raise self.error
        return not self.ended


class Slots:
    """The slots of an engine, and every generation that holds one or waits for one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._queue: list[Generation] = []
        self._generations: set[Generation] = set()

    async def enter(self, generation: Generation) -> None:
        """Wait for a slot, or until the generation is ended; ``leave`` must follow in any case.

        Raises
        ------
        EngineDeadError
            The engine was closed or died meanwhile.
        """
        self._generations.add(generation)
        if self._free:
            self._free -= 1
            generation.has_slot = True
            return
        # Stable: behind all of the same priority.
        insort(self._queue, generation, key=lambda waiting: -waiting.priority)
        while generation.is_running() and not generation.has_slot:
            await generation.wait()

    def leave(self, generation: Generation) -> None:
        """Pass the slot on to the next generation, or leave the queue."""
        self._generations.discard(generation)
        if not generation.has_slot:
            if generation in self._queue:
                self._queue.remove(generation)
        elif self._queue:
            # Given directly, not freed: a newcomer must not take it before the successor wakes up.
            # One that was ended or cancelled leaves in turn, which passes the slot on.
            successor = self._queue.pop(0)
            successor.has_slot = True
            successor.wake()
        else:
            self._free += 1

    def end(self, request_id: str) -> None:
        """End the generations of this request."""
        for generation in self._generations:
            if generation.request_id == request_id:
                generation.end()

    def end_all(self, error: EngineDeadError) -> None:
        """End every generation with this error."""
        for generation in self._generations:
            generation.end(error)
