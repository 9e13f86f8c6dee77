"""The directory of workers, in memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from axon.directory.workers import LEASE_S, WorkerDirectory, WorkerState
from axon.jobs import ReceivedJob
from axon.rendezvous import most_load


@dataclass
class _Entry:
    state: WorkerState
    expires: float


class FakeWorkerDirectory(WorkerDirectory):
    """See `axon.directory.workers.WorkerDirectory`; with a settable clock.

    `handed_over` records (worker id, received job). Workers in `disconnected` get no job. Every
    call raises `fail_with`, if that is set.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.handed_over: list[tuple[str, ReceivedJob]] = []
        self.disconnected: set[str] = set()
        self.fail_with: Exception | None = None
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    @override
    async def register(self, worker: WorkerState, *, lease_s: float = LEASE_S) -> None:
        self._check()
        state = replace(worker, models=tuple(worker.models))
        self._entries[worker.worker_id] = _Entry(state, self._clock() + lease_s)

    @override
    async def remove(self, worker_id: str) -> None:
        self._check()
        self._entries.pop(worker_id, None)

    @override
    async def list(self) -> Sequence[WorkerState]:
        self._check()
        alive = (e.state for e in self._entries.values() if e.expires >= self._clock())
        return sorted(alive, key=lambda state: state.worker_id)

    @override
    async def note_load(self, worker_id: str, load: int) -> None:
        self._check()
        if entry := self._entries.get(worker_id):
            entry.state = replace(entry.state, load=load)

    @override
    async def hand_over(
        self, received: ReceivedJob, *, own_id: str, order: Sequence[str], bounded: bool = True
    ) -> str:
        self._check()
        if not order or order[0] == own_id:
            return own_id
        states = await self.list()
        loads = {state.worker_id: state.load for state in states}
        slots = {state.worker_id: state.slots for state in states}
        # The job is in the own load, or on its way there.
        loads[own_id] = max(loads.get(own_id, 0) - 1, 0)
        loads = {worker_id: loads[worker_id] for worker_id in order if worker_id in loads}
        most = most_load(sum(loads.values()) + 1, len(loads)) if loads else 0
        for worker_id, load in loads.items():
            if bounded and load + 1 > most:
                continue
            if worker_id == own_id:
                return own_id
            if bounded and load + 1 > slots[worker_id]:
                continue
            if worker_id not in self.disconnected:
                await self.note_load(worker_id, load + 1)
                self.handed_over.append((worker_id, replace(received, forwarded=True)))
                return worker_id
        return own_id

    def _check(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
