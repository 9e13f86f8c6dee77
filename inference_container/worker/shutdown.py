"""Shutdown: the two steps in which a worker stops, for everything that still runs."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HandedOverError(Exception):
    """The worker shuts down; another one continues from what was appended."""


class Shutdown:
    """The state of a worker's shutdown.

    First it drains: running answers may end, but no longer wait for a service that is unavailable,
    and nothing new begins. Then it hands over: answers that still run stop their engines, append
    what those have generated, and leave the rest to another worker.
    """

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.handing_over = asyncio.Event()
        self._watchers: set[Callable[[], None]] = set()

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call `watcher` at each step of the shutdown inside the context; now if one has begun."""
        if self.draining.is_set():
            watcher()
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    def drain(self) -> None:
        """Start to drain."""
        self.draining.set()
        self._notify()

    def hand_over(self) -> None:
        """Start to hand over; implies `drain`."""
        self.draining.set()
        self.handing_over.set()
        self._notify()

    def _notify(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()
