"""The directory of workers: who is there, what each serves, how much it has in hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from axon.jobs import ReceivedJob

LEASE_S = 15.0
"""A worker that has not announced itself for so long is not there."""


class ModelState(StrEnum):
    """How far a worker is with a model."""

    LOADING = "loading"
    SERVING = "serving"
    UNLOADING = "unloading"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model in a worker: its state and version (0: the deployment's), and why it failed."""

    name: str
    state: ModelState
    version: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker; `load` is how many jobs it has in hand, `slots` how many it runs at once."""

    worker_id: str
    slots: int
    load: int
    models: Sequence[ModelStatus]

    def serves(self, model: str) -> bool:
        """Whether it answers requests for this model."""
        return any(m.name == model and m.state is ModelState.SERVING for m in self.models)


class WorkerDirectory(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def announce(self, worker: WorkerState, *, lease_s: float = LEASE_S) -> None:
        """Enter a worker, or what has become of it."""
        ...

    async def leave(self, worker_id: str) -> None:
        """Take a worker out: it gets no more jobs from others."""
        ...

    async def list(self) -> Sequence[WorkerState]:
        """Return the workers whose lease runs, by id."""
        ...

    async def note_load(self, worker_id: str, load: int) -> None:
        """Note how many jobs a worker has in hand; does nothing for one that is not there."""
        ...

    async def hand_over(
        self, delivery: ReceivedJob, *, own_id: str, order: Sequence[str], bounded: bool = True
    ) -> str:
        """Give a job to the first worker of `order` that has room and listens; return which.

        It is `own_id`, given to nobody, if that comes first, or none before or after it can take
        the job. With `bounded`, room is a free slot and a load of no more than
        `axon.rendezvous.most_load`; without, any.
        What is given may be lost on the way: the message then becomes visible again.
        """
        ...
