"""The consumer: pulls jobs only for free slots, and keeps them its own while it works on them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pydantic import ValidationError

from axon.event_log import EventLog, Status
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from axon.jobs import Delivery, Job, JobQueue
from axon.tracing import Tracing
from worker.engines.protocol import EngineDeadError
from worker.metrics import Outcome, WorkerMetrics

LOGGER = logging.getLogger(__name__)

_PAUSE_S = 1.0


class Consumer:
    """Runs up to `slots` attempts at a time.

    Parameters
    ----------
    run : one attempt at a job; returns how the response ended.
    visibility_timeout_s : the jobs queue's; extended every third of it, so that a dead worker's
        jobs come back after at most this long.
    changed : called with `running` whenever that has changed.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        event_log: EventLog,
        run: Callable[[Job], Awaitable[Status]],
        slots: int,
        visibility_timeout_s: int,
        metrics: WorkerMetrics,
        tracing: Tracing,
        changed: Callable[[int], None],
    ) -> None:
        self._queue = queue
        self._log = event_log
        self._run = run
        self._slots = slots
        self._visibility_timeout_s = visibility_timeout_s
        self._metrics = metrics
        self._tracing = tracing
        self._changed = changed
        self._attempts: dict[asyncio.Task[None], Delivery] = {}
        self._free = asyncio.Event()
        self._free.set()
        self._dead: asyncio.Future[None] | None = None
        self._receiving: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Attempts under way."""
        return len(self._attempts)

    async def consume(self) -> None:
        """Work until cancelled; what runs then goes on (`drain`, `release`).

        Raises
        ------
        EngineDeadError : the engine has died; every job was released for another worker.
        """
        self._dead = asyncio.get_running_loop().create_future()
        heartbeat = asyncio.create_task(self._heartbeat())
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
        """Let running attempts end; release what is still running after `timeout_s`."""
        heartbeat = asyncio.create_task(self._heartbeat())
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=timeout_s)
        await _end(heartbeat)
        for task in list(self._attempts):
            await _end(task)

    async def _receive(self) -> None:
        while True:
            await self._free.wait()
            try:
                deliveries = await self._queue.receive(limit=self._slots - len(self._attempts))
            except UnavailableError as error:
                LOGGER.warning("cannot receive jobs: %s", error)
                await asyncio.sleep(_PAUSE_S)
                continue
            for delivery in deliveries:
                self._start(delivery)

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._attempt(delivery))
        self._attempts[task] = delivery
        task.add_done_callback(self._ended)
        self._changed(self.running)
        if len(self._attempts) >= self._slots:
            self._free.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._attempts[task]
        self._free.set()
        self._changed(self.running)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            job = Job.decode(delivery.body)
        except ValidationError:
            LOGGER.exception("not a job; left to become a dead letter")
            return
        with self._tracing.receive(
            "job", header=delivery.trace_header, response_id=job.response_id, model=job.model
        ):
            await self._work(job, delivery)

    async def _work(self, job: Job, delivery: Delivery) -> None:
        outcome = Outcome.RELEASED
        try:
            outcome = await self._outcome(job)
            if outcome.final:
                await self._queue.delete(delivery)
        except asyncio.CancelledError:
            await self._release(delivery)
            raise
        except EngineDeadError as error:
            await self._die(error)
            await self._release(delivery)
            LOGGER.warning("%s released: %s", job.response_id, error)
        except UnavailableError as error:
            # What is away will be for a while: the attempts must outlast that.
            await self._release(delivery, delay_s=2**delivery.attempts)
            LOGGER.warning("%s released: %s", job.response_id, error)
        except Exception:
            LOGGER.exception("%s failed; another attempt follows", job.response_id)
        finally:
            self._metrics.ended(outcome)
            self._tracing.annotate(outcome=outcome.value)

    async def _outcome(self, job: Job) -> Outcome:
        try:
            status = await self._run(job)
        except MissingResponseError:
            LOGGER.warning("%s is not in the event log: nobody can be answered", job.response_id)
            return Outcome.CANCELLED
        except FencedError:
            meta = await self._log.describe(job.response_id)
            # A newer attempt: the job is that one's to delete.
            ended = meta is None or meta.status.terminal
            return Outcome.CANCELLED if ended else Outcome.FENCED
        return Outcome.FAILED if status is Status.FAILED else Outcome.COMPLETED

    async def _release(self, delivery: Delivery, *, delay_s: int = 0) -> None:
        delay_s = min(delay_s, self._visibility_timeout_s)
        with suppress(UnavailableError):
            await self._queue.extend([delivery], timeout_s=delay_s)

    async def _die(self, error: EngineDeadError) -> None:
        """Receive no more, above all not the jobs that are about to be released."""
        if self._dead is not None and not self._dead.done():
            self._dead.set_exception(error)
        if self._receiving is not None:
            await _end(self._receiving)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._visibility_timeout_s / 3)
            held = list(self._attempts.values())
            try:
                await self._queue.extend(held, timeout_s=self._visibility_timeout_s)
            except UnavailableError as error:
                LOGGER.warning("cannot extend %d jobs: %s", len(held), error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
