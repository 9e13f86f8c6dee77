"""A generation that waits for an upstream: its end closes the upstream's stream at once."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from worker.engines.protocol import EngineDeadError
from worker.engines.slots import Generation

T = TypeVar("T")


class Stream(Protocol):
    """What is closed."""

    def close(self) -> None:
        """Close it, without waiting."""
        ...


class UpstreamGeneration(Generation):
    """Whoever ends it neither waits for the upstream nor for the consumer of its chunks."""

    __slots__ = ("_timeout", "stream")

    def __init__(self, request_id: str, *, priority: int = 0) -> None:
        super().__init__(request_id, priority=priority)
        self.stream: Stream | None = None
        self._timeout: asyncio.Timeout | None = None

    def end(self, error: EngineDeadError | None = None) -> None:
        """End it from outside."""
        super().end(error)
        if self.stream is not None:
            self.stream.close()
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0)

    async def within(self, until: float, awaitable: Awaitable[T]) -> T:
        """Await it; ``TimeoutError`` at this time of the loop's clock, or when ended."""
        try:
            async with asyncio.timeout_at(0 if self.ended else until) as self._timeout:
                return await awaitable
        finally:
            self._timeout = None
