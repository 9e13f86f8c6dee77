"""Scaling from zero: the part of the workers' scaling that a submitter triggers."""

from typing import Protocol

from typing_extensions import override


class WorkerScaler(Protocol):
    """Starts a first worker where all were scaled to zero; a fake in `axon.testing`."""

    async def ensure_running(self) -> None:
        """Start a worker unless one is running or starting already.

        Raises nothing and returns within about a second, whether it succeeded or not: it is called
        while a client waits, for a job that is in the queue already and so will be answered anyhow,
        only later.
        """
        ...


class FixedWorkerScaler(WorkerScaler):
    """WorkerScaler for workers that are never scaled to zero, as in the local cloud."""

    @override
    async def ensure_running(self) -> None:
        return
