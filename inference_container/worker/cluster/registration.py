"""Registration of a worker: announces it and its models, and keeps the list of its peers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from axon.directory.models import ModelDirectory
from axon.directory.workers import ModelState, ModelStatus, WorkerDirectory, WorkerState
from axon.exceptions import UnavailableError
from axon.retry import sleep_unless

logger = logging.getLogger(__name__)

_MAX_INTERVAL_S = 5.0
_INTERVAL_WITH_PEERS_S = 2.0
"""Seconds between two reads of the directory while peers are registered."""
_RETRY_S = 1.0
_LEAVE_TIMEOUT_S = 2.0
"""Limit for leaving the directory, in seconds. A job that a peer hands over afterwards becomes
visible in the queue again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalWorker:
    """The worker of this process, as the directory describes it.

    Parameters
    ----------
    worker_id : str
        Id in the directory of workers.
    slots : int
        Requests that it runs at once.
    models : Callable[[], Sequence[ModelStatus]]
        Returns its models and their states.
    load : Callable[[], int]
        Returns how many jobs it holds.
    connected : Callable[[], bool]
        Returns whether a job that a peer hands over would arrive.
    """

    worker_id: str
    slots: int
    models: Callable[[], Sequence[ModelStatus]]
    load: Callable[[], int]
    connected: Callable[[], bool]

    def state(self, models: Sequence[ModelStatus]) -> WorkerState:
        """Return the entry for the directory of workers."""
        return WorkerState(
            worker_id=self.worker_id, slots=self.slots, load=self.load(), models=models
        )


class WorkerRegistration:
    """Renews the registration until cancelled, well before the models' retention ends.

    Both directories keep leases, so a worker that dies disappears by itself. Three states: not
    announced, announced (clients may ask for the models), registered (peers may hand jobs over).
    A worker is registered only while its subscription is connected.

    Parameters
    ----------
    worker : LocalWorker
        What is announced: id, slots, load and models of this worker.
    models : ModelDirectory
        The directory that tells clients which models exist.
    workers : WorkerDirectory
        The directory that tells workers of their peers.
    retention_s : float
        Seconds after which a model that no worker announces is forgotten.

    Attributes
    ----------
    announced : asyncio.Event
        Set with the first success: before, no client could ask for a model.
    peers : Sequence[WorkerState]
        The other workers as last read; empty while Valkey is away.
    """

    def __init__(
        self,
        *,
        worker: LocalWorker,
        models: ModelDirectory,
        workers: WorkerDirectory,
        retention_s: float,
    ) -> None:
        self.announced = asyncio.Event()
        self.peers: Sequence[WorkerState] = ()
        self._worker = worker
        self._models = models
        self._workers = workers
        self._retention_s = retention_s
        self._interval_s = min(retention_s / 3, _MAX_INTERVAL_S)
        self._registered = False
        self._announced_models: frozenset[str] = frozenset()
        self._renew_now = asyncio.Event()
        self._publishing_load: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Announce, and read the list of peers, again and again."""
        while True:
            # Cleared before the step: a change during it asks for another one.
            self._renew_now.clear()
            await sleep_unless(self._renew_now, await self._renew())

    def announce_soon(self) -> None:
        """Announce what has changed without waiting for the next interval."""
        self._renew_now.set()

    def load_changed(self) -> None:
        """Publish the load if there are peers; changes while it is published are combined."""
        if self.peers and self._publishing_load is None:
            self._publishing_load = asyncio.create_task(self._publish_load())

    def forget_peers(self) -> None:
        """Clear the list of peers until the next successful read."""
        self.peers = ()

    async def leave(self) -> None:
        """Remove this worker from the directory, so that no peer hands over another job.

        While Valkey is away the entry stays until its lease ends.
        """
        self.peers = ()
        if self._publishing_load is not None:
            # It would enter the load of a worker that has left.
            self._publishing_load.cancel()
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self._workers.remove(self._worker.worker_id)
        except (UnavailableError, TimeoutError) as error:
            logger.warning("cannot leave the directory of workers: %s", error)

    async def _renew(self) -> float:
        """Announce once; return the seconds until the next announcement."""
        models = self._worker.models()
        served = tuple(model.name for model in models if model.state is ModelState.SERVING)
        kept = {model.name for model in models if model.state is not ModelState.UNLOADING}
        try:
            # A model that is swapped is neither served nor unloaded: it keeps its entry, so that
            # clients are not refused between two versions.
            if unloaded := self._announced_models - kept:
                await self._models.remove(tuple(unloaded))
            await self._models.register(served, retention_s=self._retention_s)
            self._announced_models = frozenset(served)
            self.announced.set()
            await self._register(models)
            workers = await self._workers.list()
        except UnavailableError as error:
            logger.warning("cannot announce models: %s", error)
            # Peers that cannot be read may be gone: jobs are run here until they can.
            self.forget_peers()
            return _RETRY_S
        self.peers = tuple(w for w in workers if w.worker_id != self._worker.worker_id)
        if not self._registered:
            return min(_RETRY_S, self._interval_s)
        return min(_INTERVAL_WITH_PEERS_S, self._interval_s) if self.peers else self._interval_s

    async def _register(self, models: Sequence[ModelStatus]) -> None:
        """Enter the directory of workers, or leave it while the subscription is disconnected."""
        if self._worker.connected():
            await self._workers.register(self._worker.state(models))
            self._registered = True
        elif self._registered:
            # A job handed over now would be lost until its visibility timeout ends.
            await self._workers.remove(self._worker.worker_id)
            self._registered = False

    async def _publish_load(self) -> None:
        published = -1
        try:
            # The load may change during the call: repeat until what was published is current.
            while self.peers and published != (load := self._worker.load()):
                await self._workers.note_load(self._worker.worker_id, load)
                published = load
        except UnavailableError as error:
            logger.debug("cannot publish the load: %s", error)
        finally:
            self._publishing_load = None
