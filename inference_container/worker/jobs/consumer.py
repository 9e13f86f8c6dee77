"""Consumer: receives jobs while there are free slots, and completes or returns their messages."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.formats import Refused, UnreadableError, log_refusal
from axon.jobs import Job, JobQueue, ReceivedJob
from axon.retry import RetryPolicy
from axon.tasks import end
from axon.tracing import Tracing
from worker.attempt.endings import escalated_ending_of
from worker.attempt.retry_policy import delay_s, newer_version_delay_s, suspect_delay_s
from worker.engines.protocol import EngineDeadError
from worker.jobs.receiver import Receiver
from worker.jobs.visibility import VisibilityExtender
from worker.metrics import WorkerMetrics
from worker.outcome import AttemptOutcome, AttemptResult, MessageAction
from worker.quarantine import Quarantine
from worker.shutdown import Shutdown

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0
_HAND_OVER_TIMEOUT_S = 5.0
"""Limit for attempts to append, at a hand-over, the tokens that their engines have generated."""
_POLL_END_TIMEOUT_S = 5.0
"""Limit for the end of the last long poll, which takes a second unless SQS is away."""
_DELETION_TIMEOUT_S = 300.0
"""Seconds after which a message that cannot be deleted is left: its next attempt finds the response
ended, and deletes it."""
_CONDEMNED = "made workers fail repeatedly, the last one while it ran alone"
_RELEASE_TIMEOUT_S = 30.0
"""Seconds that a cancelled job has to release its message; a call to SQS takes at most 28.75 s."""


class Runner(Protocol):
    """Runs jobs (`worker.attempt.runner.JobRunner`)."""

    async def run(self, job: Job, received: ReceivedJob) -> AttemptResult:
        """Run a job; return how the attempt ended."""
        ...


class Parking(Protocol):
    """Keeps jobs that no worker should run again."""

    async def park(self, received: ReceivedJob, *, why: str) -> None:
        """Keep a job for the operator, with the reason.

        Raises
        ------
        UnavailableError
            It could not be kept.
        """
        ...


class UnreadablePolicy(Protocol):
    """Handles jobs that this version cannot read (`worker.jobs.unreadable.UnreadableJobs`)."""

    async def handle(self, received: ReceivedJob, error: UnreadableError) -> MessageAction:
        """Set the job aside if no version can read it; return the action on its message."""
        ...


class Consumer:
    """Runs up to `slots` jobs at a time, and holds up to `prefetch` more that wait for a slot.

    Jobs that peers hand over come on top (`accept`); while they exceed the limit, nothing is
    received.

    Parameters
    ----------
    queue : JobQueue
        The jobs queue.
    runner : Runner
        Runs each job.
    slots : int
        Slots of the engine.
    prefetch : int
        Jobs beyond the slots that may wait in this worker.
    visibility_timeout_s : int
        Visibility timeout of the queue: a dead worker's jobs are received again after at most
        this many seconds.
    metrics : WorkerMetrics
        Metrics of the worker.
    tracing : Tracing
        Continues the submitter's trace with a span for each job.
    shutdown : Shutdown
        The worker's shutdown, which `drain` begins.
    load_changed : Callable[[int], None]
        Called with `running` whenever that has changed.
    refused : Refused
        Notified of each message that could not be read.
    quarantine : Quarantine | None
        While one attempt runs alone, nothing else begins.
    parking : Parking | None
        Keeps jobs for the operator; None to drop them.
    unreadable : UnreadablePolicy | None
        Handles jobs that could not be read; None to leave them to SQS's redrive.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        runner: Runner,
        slots: int,
        prefetch: int = 0,
        visibility_timeout_s: int,
        metrics: WorkerMetrics,
        tracing: Tracing,
        shutdown: Shutdown,
        load_changed: Callable[[int], None],
        refused: Refused = log_refusal,
        quarantine: Quarantine | None = None,
        parking: Parking | None = None,
        unreadable: UnreadablePolicy | None = None,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._limit = slots + prefetch
        self._visibility = VisibilityExtender(
            queue=queue, visibility_timeout_s=visibility_timeout_s
        )
        self._metrics = metrics
        self._tracing = tracing
        self._shutdown = shutdown
        self._load_changed = load_changed
        self._refused = refused
        self._quarantine = quarantine
        self._parking = parking
        self._unreadable = unreadable
        self._jobs: set[asyncio.Task[None]] = set()
        if quarantine is not None:
            quarantine.watch(self._jobs)
            quarantine.listen(self._room_changed)
        self._visibility_calls: set[asyncio.Task[None]] = set()
        self._engine_died: asyncio.Future[None] | None = None
        self._receiver: Receiver | None = None
        self._receiving: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Jobs that this worker has, those that wait for a slot included."""
        return len(self._jobs)

    @property
    def held(self) -> Sequence[ReceivedJob]:
        """The messages of the jobs that this worker has."""
        return self._visibility.tracked

    def accept(self, received: ReceivedJob) -> None:
        """Run a job that a peer hands over, even if no slot is free.

        While the worker drains or is in quarantine, the job is released instead. A message that is
        here already is ignored.
        """
        if self._visibility.tracks(received):
            return
        self._metrics.arrived()
        if self._shutdown.draining.is_set() or self._in_quarantine:
            self._call_visibility(self._visibility.release(received))
            return
        self._start(received)
        self._call_visibility(self._visibility.extend_now(received))

    async def consume(self) -> None:
        """Receive and run jobs until cancelled; running ones continue then (`drain`).

        Raises
        ------
        EngineDeadError
            The engine has died; all jobs were released for other workers.
        PermanentRefusalError
            The queue refuses to be received from; running jobs continue (`drain`).
        """
        self._engine_died = asyncio.get_running_loop().create_future()
        extending = asyncio.create_task(self._visibility.run())
        receiver = self._receiver = self._new_receiver()
        receiving = self._receiving = asyncio.create_task(receiver.run())
        tasks = (self._engine_died, extending, receiving)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        except EngineDeadError:
            await self.drain(_PAUSE_S)  # the other attempts meet the error, too, and are released
            raise
        finally:
            receiver.close()  # its last poll ends by itself; `drain` waits for it
            await end(extending)

    def stop(self, error: EngineDeadError) -> None:
        """End `consume` because the engine has died: what runs is handed over or released."""
        if self._engine_died is not None and not self._engine_died.done():
            self._engine_died.set_exception(error)

    async def drain(self, timeout_s: float) -> None:
        """Wait until running jobs have ended; hand the others over after `timeout_s` seconds.

        The order matters. First nothing new begins, and messages are extended as long as jobs
        may run. Then attempts stop their engines and append what those have generated, so that
        no token is generated twice. Whatever does not even do that is cancelled, and its message
        released, before this returns and the process ends.
        """
        self._shutdown.drain()
        extending = asyncio.create_task(self._visibility.run())
        await asyncio.gather(self._wait_for_jobs(timeout_s), self._end_receiving())
        await end(extending)
        self._shutdown.hand_over()
        await self._wait_for_jobs(_HAND_OVER_TIMEOUT_S)
        await end(*self._jobs, again_s=_RELEASE_TIMEOUT_S)
        await self.settled()

    async def settled(self) -> None:
        """Wait until all jobs that peers have handed over are extended or released."""
        if self._visibility_calls:
            await asyncio.wait(self._visibility_calls, timeout=_HAND_OVER_TIMEOUT_S)

    def _call_visibility(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self._visibility_calls.add(task)
        task.add_done_callback(self._visibility_calls.discard)

    async def _wait_for_jobs(self, timeout_s: float) -> None:
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=timeout_s)

    def _new_receiver(self) -> Receiver:
        return Receiver(
            queue=self._queue,
            # Negative while jobs of peers exceed the limit.
            room=self._room,
            start=self._begin,
            release=lambda received: self._call_visibility(self._visibility.release(received)),
        )

    async def _end_receiving(self) -> None:
        """Wait until the last poll has ended, and what it brought is being released."""
        if self._receiver is not None and self._receiving is not None:
            self._receiver.close()
            await asyncio.wait([self._receiving], timeout=_POLL_END_TIMEOUT_S)
            await end(self._receiving)

    @property
    def _in_quarantine(self) -> bool:
        return self._quarantine is not None and self._quarantine.active

    def _room(self) -> int:
        if self._quarantine is None:
            return self._limit - len(self._jobs)
        if self._quarantine.active:
            return 0
        # Suspects that wait here run nothing: other jobs use the slots, if not without end.
        held = min(self._quarantine.held, self._limit)
        return self._limit - len(self._jobs) + held

    def _room_changed(self) -> None:
        if self._receiver is not None:
            self._receiver.room_changed()

    def _begin(self, received: ReceivedJob) -> None:
        """Run a job that the queue has given, unless a quarantine has begun during the poll."""
        if self._in_quarantine:
            self._call_visibility(self._visibility.release(received))
        else:
            self._start(received)

    def _start(self, received: ReceivedJob) -> None:
        self._visibility.track(received)
        task = asyncio.create_task(self._handle(received))
        self._jobs.add(task)
        task.add_done_callback(self._handled)
        self._load_changed(self.running)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self._room_changed()
        self._load_changed(self.running)

    async def _handle(self, received: ReceivedJob) -> None:
        try:
            job = Job.decode(received.body)
        except UnreadableError as error:
            self._refused(error)
            if self._unreadable is not None:
                await self._apply(await self._unreadable.handle(received, error), received)
        else:
            with self._tracing.receive(
                "job", header=received.trace_header, response_id=job.response_id, model=job.model
            ):
                await self._run(job, received)
        finally:
            self._visibility.forget(received)

    async def _run(self, job: Job, received: ReceivedJob) -> None:
        outcome: AttemptOutcome | None = None
        try:
            result = await self._runner.run(job, received)
            outcome = result.outcome
            await self._apply(result.message, received, wait_s=result.wait_s)
        except asyncio.CancelledError:  # the end of the drain
            await self._visibility.release(received)
            raise
        except Exception as error:
            ending = escalated_ending_of(error)
            ending.log(job.response_id, error)
            # An attempt that has ended keeps its outcome even if the action on its message fails:
            # the response has ended so, and the next attempt counts only that it found it ended.
            outcome = outcome or ending.outcome
            if isinstance(error, EngineDeadError):
                await self._stop_receiving(error)  # before this job is visible to this worker again
            await self._apply(ending.message, received)
        finally:
            outcome = outcome or AttemptOutcome.RELEASED  # cancelled
            self._metrics.ended(outcome)
            self._tracing.annotate(outcome=outcome.value)

    async def _apply(
        self, action: MessageAction, received: ReceivedJob, *, wait_s: float = 0.0
    ) -> None:
        match action:
            case MessageAction.DELETE:
                await self._delete(received)
            case MessageAction.PARK:
                await self._park(received)
                await self._delete(received)
            case MessageAction.RELEASE:
                await self._visibility.release(received)
            case MessageAction.DELAY:
                pause_s = delay_s(received.receive_count, wait_s=wait_s)
                await self._visibility.release(received, delay_s=pause_s)
            case MessageAction.WAIT:
                await self._visibility.release(received, delay_s=suspect_delay_s())
            case MessageAction.POSTPONE:
                wait_s = newer_version_delay_s(received.receive_count)
                await self._visibility.release(received, delay_s=wait_s)
            case MessageAction.LEAVE:
                pass

    async def _park(self, received: ReceivedJob) -> None:
        """Keep a job for the operator: its client knows the end, so a failure is only logged."""
        if self._parking is None:
            return
        try:
            await self._parking.park(received, why=_CONDEMNED)
        except UnavailableError as error:
            logger.warning("message %s is not kept: %s", received.message_id, error)

    async def _delete(self, received: ReceivedJob) -> None:
        # The message is tracked meanwhile: no other worker runs a job that has ended.
        retry = RetryPolicy(stop=self._shutdown.draining, within_s=_DELETION_TIMEOUT_S)
        try:
            await retry.run(lambda: self._queue.delete(received))
        except PermanentRefusalError as error:
            # The receipt handle is not valid any more, or deletions are not permitted. Another
            # attempt finds the response ended.
            logger.warning("message %s cannot be deleted: %s", received.message_id, error)

    async def _stop_receiving(self, error: EngineDeadError) -> None:
        self.stop(error)
        await self._end_receiving()
