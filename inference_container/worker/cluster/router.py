"""Routing of a received job: run it here, hand it over to a peer, wait, or delay it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from axon.directory.workers import ModelState
from axon.jobs import Job, ReceivedJob
from worker.cluster.handover import JobHandover
from worker.outcome import DELAYED, FORWARDED, RELEASED, AttemptResult
from worker.shutdown import Shutdown


class LocalModels(Protocol):
    """The models of this worker (`worker.models.host.ModelHost`)."""

    def state_of(self, model: str) -> ModelState | None:
        """Return the state of a model, None if it is not desired here."""
        ...

    async def ready(self, model: str) -> bool:
        """Wait until a model is served; return False if it will not be."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingPolicy:
    """Limits of the router.

    Parameters
    ----------
    prefix_affinity : bool
        Run a conversation's turns on one worker, whose prefix cache has the beginning.
    max_waiting : int
        Jobs that may wait here for a model that is being loaded.
    max_receives : int
        Receive count after which a message becomes a dead letter.
    """

    prefix_affinity: bool
    max_waiting: int
    max_receives: int


class Router:
    """Decides which worker runs a job. A job that a peer handed over stays here.

    Parameters
    ----------
    models : LocalModels
        Tells which models this worker serves.
    handover : JobHandover
        Gives jobs to peers.
    policy : RoutingPolicy
        Whether a prefix decides, and how many jobs may wait.
    left_s : Callable[[Job], float]
        Returns the seconds until a job's deadline.
    shutdown : Shutdown
        Ends the wait for a model when the worker drains.
    """

    def __init__(
        self,
        *,
        models: LocalModels,
        handover: JobHandover,
        policy: RoutingPolicy,
        left_s: Callable[[Job], float],
        shutdown: Shutdown,
    ) -> None:
        self._models = models
        self._handover = handover
        self._policy = policy
        self._left_s = left_s
        self._shutdown = shutdown
        self._waiting = 0

    async def route(self, job: Job, received: ReceivedJob) -> AttemptResult | None:
        """Return the result for a job that is not to be run here now, else None.

        By the model's state on this worker:

        - served: run it here, unless a peer has the conversation's prefix;
        - otherwise: hand it over to a peer that serves the model, if there is one;
        - loading: wait for it here, within the limit;
        - loading on a peer, or handed over by one: delay the message, since a worker that serves
          the model will be known soon;
        - otherwise: run it here, which refuses it.

        The message's last receive is never delayed: the next one would make it a dead letter,
        and the client would get no error.
        """
        state = self._models.state_of(job.model)
        if state is ModelState.SERVING:
            prefix_elsewhere = self._prefers_prefix(received) and await self._handover.for_prefix(
                job, received
            )
            return FORWARDED if prefix_elsewhere else None
        # Never twice: two workers with old lists of peers would hand a job to and fro.
        if not received.forwarded and await self._handover.for_model(job, received):
            return FORWARDED
        last = received.receive_count >= self._policy.max_receives
        if state is ModelState.LOADING:
            if self._waiting < self._policy.max_waiting or last:
                return await self._wait_for_model(job)
            return DELAYED
        expected = received.forwarded or self._handover.loading(job.model)
        return DELAYED if expected and not last else None

    def _prefers_prefix(self, received: ReceivedJob) -> bool:
        # A message received again may have failed on that very peer: this worker runs it.
        return (
            self._policy.prefix_affinity and not received.forwarded and received.receive_count <= 1
        )

    async def _wait_for_model(self, job: Job) -> AttemptResult | None:
        """Wait until the job can be run, or its deadline has passed; return None for both.

        The attempt that follows ends a late job with an error for the client.
        """
        self._waiting += 1
        ready = asyncio.create_task(self._models.ready(job.model))
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
        return RELEASED if self._shutdown.draining.is_set() else None
