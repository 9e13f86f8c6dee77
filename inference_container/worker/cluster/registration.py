"""Announces this worker and the models that it serves, and knows the workers beside it."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from axon.directory.models import ModelDirectory
from axon.directory.workers import ModelState, ModelStatus, WorkerDirectory, WorkerState
from axon.exceptions import UnavailableError
from axon.retry import sleep_unless

LOGGER = logging.getLogger(__name__)

_LONGEST_INTERVAL_S = 5.0
_TOGETHER_S = 2.0
"""From one look to the next while other workers are there."""
_RETRY_S = 1.0
_LEAVING_S = 2.0
"""So long leaving may take: what is still handed over is given back, only later."""


class WorkerRegistration:
    """Announces until cancelled, often enough that the models stay known.

    Parameters
    ----------
    held : Callable[[], Sequence[ModelStatus]]
        The models here, and how far they are.
    load : Callable[[], int]
        How many jobs are in hand.
    listens : Callable[[], bool]
        Whether jobs that others hand over would arrive; only then others may.

    Attributes
    ----------
    announced
        Set with the first success: before, nobody could ask for a model.
    others : Sequence[WorkerState]
        The workers beside this one, when last seen; none while Valkey is away.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        models: ModelDirectory,
        workers: WorkerDirectory,
        held: Callable[[], Sequence[ModelStatus]],
        slots: int,
        load: Callable[[], int],
        listens: Callable[[], bool],
        retention_s: float,
    ) -> None:
        self.announced = asyncio.Event()
        self.others: Sequence[WorkerState] = ()
        self._worker_id = worker_id
        self._models = models
        self._workers = workers
        self._held = held
        self._slots = slots
        self._load = load
        self._listens = listens
        self._retention_s = retention_s
        self._interval_s = min(retention_s / 3, _LONGEST_INTERVAL_S)
        self._entered = False
        self._known: frozenset[str] = frozenset()
        self._sooner = asyncio.Event()
        self._noting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Announce, and look who else is there, again and again."""
        while True:
            self._sooner.clear()
            await sleep_unless(self._sooner, await self._step())

    def announce_soon(self) -> None:
        """Announce what has changed without waiting for the next time."""
        self._sooner.set()

    def load_changed(self) -> None:
        """Tell the others, if there are any; changes during a note go with the next."""
        if self.others and self._noting is None:
            self._noting = asyncio.create_task(self._note())

    def forget_others(self) -> None:
        """Take nobody to be there until Valkey says so again."""
        self.others = ()

    async def leave(self) -> None:
        """Have nobody hand jobs over to this worker any more, unless Valkey is away."""
        self.others = ()
        if self._noting is not None:
            self._noting.cancel()
        try:
            async with asyncio.timeout(_LEAVING_S):
                await self._workers.leave(self._worker_id)
        except (UnavailableError, TimeoutError) as error:
            LOGGER.warning("cannot leave the directory of workers: %s", error)

    async def _step(self) -> float:
        """Return for how long what was announced is good."""
        held = self._held()
        served = tuple(model.name for model in held if model.state is ModelState.SERVING)
        stays = {model.name for model in held if model.state is not ModelState.UNLOADING}
        try:
            if unloaded := self._known - stays:
                await self._models.forget(tuple(unloaded))
            await self._models.announce(served, retention_s=self._retention_s)
            self._known = frozenset(served)
            self.announced.set()
            await self._enter(held)
            workers = await self._workers.list()
        except UnavailableError as error:
            LOGGER.warning("cannot announce models: %s", error)
            self.forget_others()
            return _RETRY_S
        self.others = tuple(w for w in workers if w.worker_id != self._worker_id)
        if not self._entered:
            return min(_RETRY_S, self._interval_s)
        return min(_TOGETHER_S, self._interval_s) if self.others else self._interval_s

    async def _enter(self, held: Sequence[ModelStatus]) -> None:
        """Enter the directory of workers, or leave it while nothing would arrive."""
        if self._listens():
            state = WorkerState(
                worker_id=self._worker_id, slots=self._slots, load=self._load(), models=held
            )
            await self._workers.announce(state)
            self._entered = True
        elif self._entered:
            await self._workers.leave(self._worker_id)
            self._entered = False

    async def _note(self) -> None:
        noted = -1
        try:
            while self.others and noted != (load := self._load()):
                await self._workers.note_load(self._worker_id, load)
                noted = load
        except UnavailableError as error:
            LOGGER.debug("cannot note the load: %s", error)
        finally:
            self._noting = None
