"""Where a job is run: here, or handed over to a worker that has its model or its conversation."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from axon.directory.workers import ModelState, WorkerDirectory, WorkerState
from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.rendezvous import ranked
from worker.attempt.outcome import AttemptOutcome
from worker.metrics import WorkerMetrics
from worker.shutdown import Shutdown

LOGGER = logging.getLogger(__name__)

_HAND_OVER_S = 1.0
"""So long a job waits for an answer of Valkey. One that was handed over all the same runs twice,
until the epoch ends the attempt that began first."""


class Models(Protocol):
    """The models of this worker."""

    def state_of(self, model: str) -> ModelState | None:
        """Return how far a model is, None if nobody wants it here."""
        ...

    async def ready(self, model: str) -> bool:
        """Wait until a model is served; return False if it will not be."""
        ...


class Peers(Protocol):
    """The workers beside this one (`worker.cluster.registration.Announcer`)."""

    others: Sequence[WorkerState]

    def forget_others(self) -> None:
        """Take nobody to be there until Valkey says so again."""
        ...


class Router:
    """Decides where a job is run; whoever got it from another worker keeps it.

    Parameters
    ----------
    prefix_affinity : bool
        A conversation's turns go to one worker, whose engine knows the beginning.
    most_waiting : int
        Jobs that may wait here for a model that is being loaded.
    max_receives : int
        After so many a message becomes a dead letter.
    left_s : Callable[[Job], float]
        Seconds until a job's deadline.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        directory: WorkerDirectory,
        peers: Peers,
        host: Models,
        prefix_affinity: bool,
        most_waiting: int,
        max_receives: int,
        left_s: Callable[[Job], float],
        metrics: WorkerMetrics,
        shutdown: Shutdown,
    ) -> None:
        self._worker_id = worker_id
        self._directory = directory
        self._peers = peers
        self._host = host
        self._prefix_affinity = prefix_affinity
        self._most_waiting = most_waiting
        self._max_receives = max_receives
        self._left_s = left_s
        self._metrics = metrics
        self._shutdown = shutdown
        self._waiting = 0

    async def route(self, job: Job, delivery: ReceivedJob) -> AttemptOutcome | None:
        """Return what has become of a job; None if it is to be run here, now."""
        state = self._host.state_of(job.model)
        if state is ModelState.SERVING:
            return await self._for_its_prefix(job, delivery)
        if not delivery.forwarded and await self._for_its_model(job, delivery):
            return AttemptOutcome.FORWARDED
        last = delivery.receive_count >= self._max_receives
        if state is ModelState.LOADING:
            if self._waiting < self._most_waiting or last:
                return await self._wait_for_model(job)
            return AttemptOutcome.DELAYED
        # Who handed it over, or somebody who loads it now, will know better soon.
        coming = delivery.forwarded or self._loaded_elsewhere(job.model)
        return AttemptOutcome.DELAYED if coming and not last else None

    def _servers(self, model: str) -> list[str]:
        return [other.worker_id for other in self._peers.others if other.serves(model)]

    def _loaded_elsewhere(self, model: str) -> bool:
        return any(
            held.name == model and held.state is ModelState.LOADING
            for other in self._peers.others
            for held in other.models
        )

    async def _for_its_prefix(self, job: Job, delivery: ReceivedJob) -> AttemptOutcome | None:
        if not self._prefix_affinity or delivery.forwarded or delivery.receive_count > 1:
            return None
        if not (servers := self._servers(job.model)):
            return None
        order = ranked(job.conversation_id, [self._worker_id, *servers])
        handed_over = await self._hand_over(delivery, order, reason="prefix")
        return AttemptOutcome.FORWARDED if handed_over else None

    async def _for_its_model(self, job: Job, delivery: ReceivedJob) -> bool:
        order = ranked(job.conversation_id, self._servers(job.model))
        if not order:
            return False
        # Rather to one that is full than to none: those with room may all be gone.
        return await self._hand_over(delivery, order, reason="model") or await self._hand_over(
            delivery, order, reason="model", bounded=False
        )

    async def _hand_over(
        self,
        delivery: ReceivedJob,
        order: Sequence[str],
        *,
        reason: Literal["model", "prefix"],
        bounded: bool = True,
    ) -> bool:
        """Return whether it is another worker's now."""
        if order[0] == self._worker_id or self._shutdown.draining.is_set():
            return False
        try:
            async with asyncio.timeout(_HAND_OVER_S):
                chosen = await self._directory.hand_over(
                    delivery, own_id=self._worker_id, order=order, bounded=bounded
                )
        except (UnavailableError, TimeoutError) as error:
            LOGGER.warning("jobs are run here: %r", error)
            self._peers.forget_others()
            return False
        if chosen == self._worker_id:
            return False
        self._metrics.forwarded(reason)
        return True

    async def _wait_for_model(self, job: Job) -> AttemptOutcome | None:
        """Wait until it can be run, or is too late; None then, too."""
        self._waiting += 1
        ready = asyncio.create_task(self._host.ready(job.model))
        draining = asyncio.create_task(self._shutdown.draining.wait())
        try:
            await asyncio.wait(
                (ready, draining),
                timeout=max(self._left_s(job), 0),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._waiting -= 1
            ready.cancel()
            draining.cancel()
        if ready.done():
            ready.result()
        return AttemptOutcome.RELEASED if self._shutdown.draining.is_set() else None
