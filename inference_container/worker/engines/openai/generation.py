"""A generation by an upstream: its end closes the upstream's stream at once."""

import asyncio
import math
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from typing_extensions import override

from worker.engines.protocol import EngineDeadError
from worker.engines.slots import Generation

T = TypeVar("T")


class Stream(Protocol):
    """The response that is read."""

    def close(self) -> None:
        """Close the connection without waiting."""
        ...


class UpstreamGeneration(Generation):
    """A generation whose end interrupts the wait for the upstream.

    Otherwise the upstream would keep generating, and hold its slot, until it sends the next event
    or the reader of the chunks asks for one.

    Attributes
    ----------
    stream : Stream | None
        The response that is read.
    read_until : float
        Time of the loop's clock (seconds) after which nothing more is waited for.
    """

    __slots__ = ("_timeout", "read_until", "stream")

    def __init__(self, request_id: str, *, priority: int = 0) -> None:
        super().__init__(request_id, priority=priority)
        self.stream: Stream | None = None
        self.read_until = math.inf
        self._timeout: asyncio.Timeout | None = None

    @override
    def end(self, error: EngineDeadError | None = None) -> None:
        super().end(error)
        if self.stream is not None:
            self.stream.close()
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0)  # in the past: the wait ends with TimeoutError

    async def within(self, until: float, awaitable: Awaitable[T]) -> T:
        """Return what `awaitable` returns.

        Raises
        ------
        TimeoutError
            At the time `until` of the loop's clock (seconds) or at `read_until`, or once the
            generation is ended.
        """
        until = min(until, self.read_until)
        try:
            async with asyncio.timeout_at(0 if self.ended else until) as self._timeout:
                return await awaitable
        finally:
            self._timeout = None
