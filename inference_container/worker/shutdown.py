"""Shutdown: the two steps in which a worker stops, for everything that still runs."""

import asyncio


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

    def drain(self) -> None:
        """Start to drain."""
        self.draining.set()

    def hand_over(self) -> None:
        """Start to hand over; implies `drain`."""
        self.draining.set()
        self.handing_over.set()
