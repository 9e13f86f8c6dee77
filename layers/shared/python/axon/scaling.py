"""The workers as a whole, which may have been scaled to zero."""

from typing import Protocol


class WorkerScaler(Protocol):
    """Where they are scaled; a fake in `axon.testing`."""

    async def wake(self) -> None:
        """Make sure that one starts, unless some run or start already.

        Raises nothing and returns soon, done or not: it is called while a client waits, for a job
        that is queued already.
        """
        ...


class FixedWorkers(WorkerScaler):
    """WorkerScaler that nobody scales, as in the local cloud."""

    async def wake(self) -> None:
        return
