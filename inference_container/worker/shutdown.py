"""How a worker's end reaches what still runs."""

import asyncio


class HandedOverError(Exception):
    """The worker ends; another one goes on from what was appended."""


class Shutdown:
    """Begins with draining: what runs may end, but waits for no service that is away.

    After it comes handing over: what still runs stops, for another worker to go on with.
    """

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.handing_over = asyncio.Event()

    def drain(self) -> None:
        """Begin nothing new."""
        self.draining.set()

    def hand_over(self) -> None:
        """Stop, and leave no token behind."""
        self.draining.set()
        self.handing_over.set()
