"""The directory of workers: which are alive, what each serves, and its load."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from axon.jobs import ReceivedJob

LEASE_S = 15.0
"""Seconds after which a worker that has not renewed its registration counts as dead."""


class ModelState(StrEnum):
    """Progress of a worker with a model."""

    LOADING = "loading"
    SERVING = "serving"
    UNLOADING = "unloading"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model in a worker: its state and version (0: the deployment's), and why it failed.

    `declared` is the name under which the operator loaded it, where that is another one: an engine
    of several models serves them under their own names.
    """

    name: str
    state: ModelState
    version: int = 0
    reason: str = ""
    declared: str = ""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker; `load` counts the jobs that it holds, `slots` those that it can run at a time."""

    worker_id: str
    slots: int
    load: int
    models: Sequence[ModelStatus]

    def serves(self, model: str) -> bool:
        """Return whether the worker answers requests for this model."""
        return any(m.name == model and m.state is ModelState.SERVING for m in self.models)


class WorkerDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def register(self, worker: WorkerState, *, lease_s: float = LEASE_S) -> None:
        """Register a worker, or renew its registration with its current state."""
        ...

    async def remove(self, worker_id: str) -> None:
        """Remove a worker: its peers hand no more jobs over to it."""
        ...

    async def list(self) -> Sequence[WorkerState]:
        """Return the live workers, by id."""
        ...

    async def note_load(self, worker_id: str, load: int) -> None:
        """Set the load of a worker; do nothing for one that is not registered."""
        ...

    async def hand_over(
        self, received: ReceivedJob, *, own_id: str, order: Sequence[str], bounded: bool = True
    ) -> str:
        """Hand a job over to the first worker of `order` that has room and is connected.

        One atomic step, so that two peers cannot fill the same slot. A job that is lost on its way
        is received again from the queue when its visibility timeout ends.

        Parameters
        ----------
        received : ReceivedJob
            The job, with the receipt handle of its message.
        own_id : str
            The worker that holds the job; it keeps the job if it comes first of those with room.
        order : Sequence[str]
            Ids of workers, the most suitable first.
        bounded : bool
            True: a worker has room if it has a free slot and its load is at most
            `axon.rendezvous.most_load`. False: every worker has room.

        Returns
        -------
        str
            Id of the worker that has the job now; `own_id` also if no other could take it.
        """
        ...
