"""Hand-over of jobs to peers, in the order of rendezvous hashing with bounded loads."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal, Protocol

from axon.directory.workers import ModelState, WorkerDirectory, WorkerState
from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.rendezvous import ranked
from worker.metrics import WorkerMetrics
from worker.shutdown import Shutdown

logger = logging.getLogger(__name__)

_HAND_OVER_TIMEOUT_S = 1.0
"""Limit for Valkey's reply, in seconds; after it the job is run here. If it was handed over all the
same it runs twice, until the epoch ends the attempt that began first."""


class Peers(Protocol):
    """The other workers (`worker.cluster.registration.WorkerRegistration`)."""

    peers: Sequence[WorkerState]

    def forget_peers(self) -> None:
        """Clear the list of peers until the next successful read."""
        ...


class JobHandover:
    """Hands jobs over to peers that serve their model.

    The conversation's id orders the candidates by rendezvous hashing (`axon.rendezvous`); the
    directory gives the job to the first one with room, where the bound is that of consistent
    hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018).

    Parameters
    ----------
    worker_id : str
        Id of this worker, to which a job is never handed over.
    directory : WorkerDirectory
        Gives a job to the first candidate with room.
    peers : Peers
        The other workers as last read from the directory.
    metrics : WorkerMetrics
        Counts jobs handed over.
    shutdown : Shutdown
        Once the worker drains, it hands nothing over.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        directory: WorkerDirectory,
        peers: Peers,
        metrics: WorkerMetrics,
        shutdown: Shutdown,
    ) -> None:
        self.worker_id = worker_id
        self._directory = directory
        self._peers = peers
        self._metrics = metrics
        self._shutdown = shutdown

    def loading(self, model: str) -> bool:
        """Return whether a peer loads the model."""
        return any(
            status.name == model and status.state is ModelState.LOADING
            for peer in self._peers.peers
            for status in peer.models
        )

    async def for_prefix(self, job: Job, received: ReceivedJob) -> bool:
        """Hand a job over if a peer precedes this worker in the conversation's order.

        That peer's engine has the conversation's beginning in its prefix cache.

        Returns
        -------
        bool
            True if a peer has the job now.
        """
        if not (servers := self._servers(job.model)):
            return False
        order = ranked(job.conversation_id, [self.worker_id, *servers])
        return await self._hand_over(received, order, reason="prefix")

    async def for_model(self, job: Job, received: ReceivedJob) -> bool:
        """Hand over a job whose model this worker does not serve.

        Returns
        -------
        bool
            True if a peer has the job now.
        """
        order = ranked(job.conversation_id, self._servers(job.model))
        if not order:
            return False
        # A full peer is better than none: the job waits there, but here nobody can run it.
        return await self._hand_over(received, order, reason="model") or await self._hand_over(
            received, order, reason="model", bounded=False
        )

    def _servers(self, model: str) -> list[str]:
        return [peer.worker_id for peer in self._peers.peers if peer.serves(model)]

    async def _hand_over(
        self,
        received: ReceivedJob,
        order: Sequence[str],
        *,
        reason: Literal["model", "prefix"],
        bounded: bool = True,
    ) -> bool:
        # A worker that drains returns its jobs to the queue: a hand-over now could outlast it.
        if order[0] == self.worker_id or self._shutdown.draining.is_set():
            return False
        try:
            async with asyncio.timeout(_HAND_OVER_TIMEOUT_S):
                chosen = await self._directory.hand_over(
                    received, own_id=self.worker_id, order=order, bounded=bounded
                )
        except (UnavailableError, TimeoutError) as error:
            logger.warning("jobs are run here: %r", error)
            # Otherwise every job would wait for the same timeout while Valkey is away.
            self._peers.forget_peers()
            return False
        if chosen == self.worker_id:
            return False
        self._metrics.forwarded(reason)
        return True
