"""The consumer: pulls jobs only for free slots, and keeps them its own while it works on them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from axon.exceptions import UnavailableError
from axon.jobs import Job, JobQueue, ReceivedJob
from axon.retry import RetryPolicy
from axon.tracing import Tracing
from worker.attempt.outcome import AttemptOutcome
from worker.attempt.retry_policy import delay_s
from worker.engines.protocol import EngineDeadError
from worker.jobs.visibility import VisibilityExtender
from worker.metrics import WorkerMetrics
from worker.shutdown import Shutdown

LOGGER = logging.getLogger(__name__)

_PAUSE_S = 1.0
_HANDING_OVER_S = 5.0
"""So long attempts may take to append what their engines have made."""


class Consumer:
    """Runs up to `slots` attempts at a time, and `prefetch` more that wait for one of those.

    What other workers hand over comes on top (`accept`); nothing is received meanwhile.

    Parameters
    ----------
    run : Callable[[Job, ReceivedJob], Awaitable[AttemptOutcome]]
        One attempt at a job; returns how that ended.
    visibility_timeout_s : int
        The jobs queue's: a dead worker's jobs come back after at most this long.
    changed : Callable[[int], None]
        Called with `running` whenever that has changed.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        run: Callable[[Job, ReceivedJob], Awaitable[AttemptOutcome]],
        slots: int,
        prefetch: int = 0,
        visibility_timeout_s: int,
        metrics: WorkerMetrics,
        tracing: Tracing,
        shutdown: Shutdown,
        changed: Callable[[int], None],
    ) -> None:
        self._queue = queue
        self._run = run
        self._most = slots + prefetch
        self._holding = VisibilityExtender(queue=queue, visibility_timeout_s=visibility_timeout_s)
        self._metrics = metrics
        self._tracing = tracing
        self._shutdown = shutdown
        self._changed = changed
        self._attempts: set[asyncio.Task[None]] = set()
        self._settlements: set[asyncio.Task[None]] = set()
        self._free = asyncio.Event()
        self._free.set()
        self._dead: asyncio.Future[None] | None = None
        self._receiving: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Attempts under way."""
        return len(self._attempts)

    def accept(self, delivery: ReceivedJob) -> None:
        """Run a job that another worker has handed over, though no slot may be free.

        A worker that drains gives it back to the queue.
        """
        if self._holding.holds(delivery):
            return
        self._metrics.arrived()
        if self._shutdown.draining.is_set():
            self._settling(self._holding.release(delivery))
            return
        self._start(delivery)
        self._settling(self._holding.renew(delivery))

    async def consume(self) -> None:
        """Work until cancelled; what runs then goes on (`drain`).

        Raises
        ------
        EngineDeadError
            The engine has died; every job was released for another worker.
        """
        self._dead = asyncio.get_running_loop().create_future()
        heartbeat = asyncio.create_task(self._holding.beat())
        self._receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait(
                [self._dead, heartbeat, self._receiving], return_when=asyncio.FIRST_COMPLETED
            )
            for task in (self._dead, heartbeat, self._receiving):
                if task.done():
                    task.result()
        except EngineDeadError:
            await self.drain(_PAUSE_S)  # the other attempts meet it too, and release their jobs
            raise
        finally:
            await _end(self._receiving)
            await _end(heartbeat)

    async def drain(self, timeout_s: float) -> None:
        """Let running attempts end; hand over what is still running after `timeout_s`."""
        self._shutdown.drain()
        heartbeat = asyncio.create_task(self._holding.beat())
        await self._wait(timeout_s)
        await _end(heartbeat)
        self._shutdown.hand_over()
        await self._wait(_HANDING_OVER_S)
        for task in list(self._attempts):
            await _end(task)
        await self.settled()

    async def settled(self) -> None:
        """Wait until what was accepted is extended, or given back."""
        if self._settlements:
            await asyncio.wait(self._settlements, timeout=_HANDING_OVER_S)

    def _settling(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._settlements.add(task)
        task.add_done_callback(self._settlements.discard)

    async def _wait(self, timeout_s: float) -> None:
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=timeout_s)

    async def _receive(self) -> None:
        while True:
            await self._free.wait()
            try:
                deliveries = await self._queue.receive(limit=self._most - len(self._attempts))
            except UnavailableError as error:
                LOGGER.warning("cannot receive jobs: %s", error)
                await asyncio.sleep(_PAUSE_S)
                continue
            for delivery in deliveries:
                self._start(delivery)

    def _start(self, delivery: ReceivedJob) -> None:
        self._holding.hold(delivery)
        task = asyncio.create_task(self._attempt(delivery))
        self._attempts.add(task)
        task.add_done_callback(self._ended)
        self._changed(self.running)
        if len(self._attempts) >= self._most:
            self._free.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._attempts.discard(task)
        if len(self._attempts) < self._most:
            self._free.set()
        self._changed(self.running)

    async def _attempt(self, delivery: ReceivedJob) -> None:
        try:
            job = Job.decode(delivery.body)
        except ValidationError:
            LOGGER.exception("not a job; left to become a dead letter")
        else:
            with self._tracing.receive(
                "job", header=delivery.trace_header, response_id=job.response_id, model=job.model
            ):
                await self._work(job, delivery)
        finally:
            self._holding.drop(delivery)

    async def _work(self, job: Job, delivery: ReceivedJob) -> None:
        outcome = AttemptOutcome.RELEASED
        try:
            outcome = await self._run(job, delivery)
            await self._settle(delivery, outcome)
        except asyncio.CancelledError:
            await self._holding.release(delivery)
            raise
        except EngineDeadError as error:
            await self._die(error)
            await self._holding.release(delivery)
            LOGGER.warning("%s released: %s", job.response_id, error)
        except UnavailableError as error:
            await self._holding.release(delivery)
            LOGGER.warning("%s released: %s", job.response_id, error)
        except Exception:
            LOGGER.exception("%s failed; another attempt follows", job.response_id)
        finally:
            self._metrics.ended(outcome)
            self._tracing.annotate(outcome=outcome.value)

    async def _settle(self, delivery: ReceivedJob, outcome: AttemptOutcome) -> None:
        # Who handed it over, or was fenced off, leaves the message alone: another attempt may
        # depend on it.
        if outcome.final:
            retry = RetryPolicy(stop=self._shutdown.draining)
            await retry.run(lambda: self._queue.delete(delivery))
        elif outcome is AttemptOutcome.RELEASED:
            await self._holding.release(delivery)
        elif outcome is AttemptOutcome.DELAYED:
            await self._holding.release(delivery, delay_s=delay_s(delivery.receive_count))

    async def _die(self, error: EngineDeadError) -> None:
        """Receive no more, above all not the jobs that are about to be released."""
        if self._dead is not None and not self._dead.done():
            self._dead.set_exception(error)
        if self._receiving is not None:
            await _end(self._receiving)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
