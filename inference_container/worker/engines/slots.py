"""Bounds how many generations run at once and ends them by id.

The highest priority goes first, and among equals who came first.
"""

import asyncio
from bisect import insort

from worker.engines.protocol import EngineDeadError


class Generation:
    """One request's wait for what moves it on: a slot, a moment, its tokens, or its end."""

    __slots__ = ("_waiter", "ended", "error", "granted", "priority", "request_id")

    def __init__(self, request_id: str, *, priority: int = 0) -> None:
        self.request_id = request_id
        self.priority = priority
        self.granted = False
        self.ended = False
        self.error: EngineDeadError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let ``wait`` return."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, error: EngineDeadError | None = None) -> None:
        """End it from outside: without an error its stream just stops."""
        self.ended = True
        self.error = error
        self.wake()

    async def wait(self, until: float | None = None) -> None:
        """Sleep until woken, or until this time of the loop's clock (seconds)."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if until is None else loop.call_at(until, self.wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def goes_on(self) -> bool:
        """Return whether it was not ended; raises the error that ended it, if one did."""
        if self.error is not None:
            raise self.error
        return not self.ended


class Slots:
    """The engine's slots and every generation that holds or awaits one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[Generation] = []
        self._present: set[Generation] = set()

    async def enter(self, generation: Generation) -> None:
        """Wait for a slot, or until the generation is ended; ``leave`` must follow in any case."""
        self._present.add(generation)
        if self._free:
            self._free -= 1
            generation.granted = True
            return
        insort(self._waiting, generation, key=lambda waiting: -waiting.priority)
        while generation.goes_on() and not generation.granted:
            await generation.wait()

    def leave(self, generation: Generation) -> None:
        """Pass the slot on, or give up waiting for one."""
        self._present.discard(generation)
        if not generation.granted:
            if generation in self._waiting:
                self._waiting.remove(generation)
        elif self._waiting:
            successor = self._waiting.pop(0)
            successor.granted = True
            successor.wake()
        else:
            self._free += 1

    def end(self, request_id: str) -> None:
        """End the generations of this request."""
        for generation in self._present:
            if generation.request_id == request_id:
                generation.end()

    def end_all(self, error: EngineDeadError) -> None:
        """End every generation with this error."""
        for generation in self._present:
            generation.end(error)
