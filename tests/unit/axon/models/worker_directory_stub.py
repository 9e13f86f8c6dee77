"""A directory of workers that holds what a test puts into it."""

from collections.abc import Sequence

from axon.directory.workers import ModelState, ModelStatus, WorkerDirectory, WorkerState


class Workers(WorkerDirectory):
    """Only what is asked of it to list workers."""

    def __init__(self) -> None:
        self.there: dict[str, WorkerState] = {}

    async def list(self) -> Sequence[WorkerState]:
        return [self.there[worker_id] for worker_id in sorted(self.there)]

    async def register(self, worker: WorkerState, *, lease_s: float = 15.0) -> None:
        self.there[worker.worker_id] = worker

    async def remove(self, worker_id: str) -> None:
        del self.there[worker_id]

    async def note_load(self, worker_id: str, load: int) -> None:
        raise NotImplementedError

    async def hand_over(self, received: object, **_: object) -> str:
        raise NotImplementedError


def worker(worker_id: str, *models: tuple[str, str, int]) -> WorkerState:
    """Return a worker that holds models: name, state and version of each."""
    held = [
        ModelStatus(name, ModelState(state), version, "no memory" if state == "failed" else "")
        for name, state, version in models
    ]
    return WorkerState(worker_id=worker_id, slots=8, load=0, models=held)
