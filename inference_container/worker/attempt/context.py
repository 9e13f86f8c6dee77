"""AttemptContext: what all attempts of a worker share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from axon.clock import now_ms
from axon.conversations import Conversations, Turn
from axon.deadlines import Deadlines
from axon.event_log.kept_ends import KeptEnds
from axon.event_log.log import AttemptLog, Status
from axon.exceptions import HistoryPendingError, UnavailableError
from axon.inputs import NO_PAYLOADS, LargeInputs
from axon.jobs import Job, ReceivedJob
from axon.responses.finisher import ResponseFinisher
from axon.retry import RetryPolicy
from axon.tracing import Tracing
from worker.attempt.budget import Budget, Unlimited
from worker.attempt.fence_watch import FenceWatch
from worker.attempt.retry_policy import NoRetryReason, OverdueError, no_retry_reason
from worker.engines.protocol import Engine
from worker.event_writer import EventWriter
from worker.metrics import WorkerMetrics
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.post import PostProcessor
from worker.pipeline.stages import Stages
from worker.shutdown import Shutdown

_HISTORY_LIMIT_S = 60.0
"""Seconds for which the database is asked whether a response that may be lost has ended."""


class Terminator(Protocol):
    """Ends responses from outside an attempt (`axon.responses.terminator.ResponseTerminator`)."""

    async def end(
        self, response_id: str, status: Status, *, error: dict[str, str] | None = None
    ) -> None:
        """End a response that has not ended yet."""
        ...


class OverdueCheck(Protocol):
    """Says which responses are overdue (`axon.event_log.due.DueIndex`)."""

    async def is_overdue(self, response_id: str) -> bool | None:
        """Return whether an attempt is of no use; None if the response is not in the log."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptContext:
    """Services and limits that all attempts of a worker share.

    Parameters
    ----------
    event_log : AttemptLog
        Claims epochs and appends events.
    fence_watch : FenceWatch
        Ends attempts that wait when their responses were claimed or ended elsewhere.
    conversations : Conversations
        Reads the turns that a job continues.
    finisher : ResponseFinisher
        Writes the history record, then the terminal event.
    terminator : Terminator
        Ends responses whose job is not run any more.
    engine : Engine
        Serves all models of the worker.
    stages : Stages
        The slots of each step of an attempt.
    flush_policy : FlushPolicy
        Decides which tokens share a delta.
    metrics : WorkerMetrics
        Counts and times attempts.
    tracing : Tracing
        Records an attempt as a span of the request's trace.
    shutdown : Shutdown
        Ends retries when the worker drains.
    deadlines : Deadlines
        How long a response may wait and stand still; docs/deadlines.md.
    max_receives : int
        Receives of a message after which SQS moves it to the dead-letter queue.
    overload_receives : int
        Receives after which a full stage sheds a request without an answer.
    budget : Budget
        Bounds the attempts at a response; by default nobody counts them.
    due : OverdueCheck | None
        Says which jobs are overdue by the log; None: those whose time in the queue has passed.
    serving_since_ms : int
        Since when this worker serves, in milliseconds of the Unix epoch: from then on at the
        latest, the time in the queue runs.
    inputs : LargeInputs
        Has the inputs that no message carries.
    post_processor : PostProcessor | None
        May change text before it is appended; None: it stays as generated, and passes no stage.
    kept_ends : KeptEnds | None
        Appends ends again that a failover has lost; None to rely on the log alone.
    generation : Callable[[], str]
        Returns the generation of the log.
    engine_hangs : Callable[[str], None]
        Called with the reason when an attempt finds that the engine hangs.
    clock_ms : Callable[[], int]
        Milliseconds of the Unix epoch, for deadlines.
    """

    event_log: AttemptLog
    fence_watch: FenceWatch
    conversations: Conversations
    finisher: ResponseFinisher
    terminator: Terminator
    engine: Engine
    stages: Stages
    flush_policy: FlushPolicy
    metrics: WorkerMetrics
    tracing: Tracing
    shutdown: Shutdown
    deadlines: Deadlines
    max_receives: int
    overload_receives: int = 3
    budget: Budget = field(default_factory=Unlimited)
    due: OverdueCheck | None = None
    serving_since_ms: int = 0
    inputs: LargeInputs = NO_PAYLOADS
    post_processor: PostProcessor | None = None
    kept_ends: KeptEnds | None = None
    generation: Callable[[], str] = lambda: ""
    engine_hangs: Callable[[str], None] = lambda _: None
    clock_ms: Callable[[], int] = now_ms

    async def loaded(self, job: Job, turns: Sequence[Turn]) -> tuple[Job, list[Turn]]:
        """Return a job and the turns that it continues with their inputs, wherever those are.

        Raises
        ------
        LostPayloadError
            One of them is not kept any more.
        UnavailableError
            A service that keeps them is away.
        """
        return await self.inputs.loaded(job), await self.conversations.loaded(turns)

    def left_ms(self, job: Job) -> int:
        """Return the milliseconds that a job without output has left in the queue, or less.

        By the clocks of this worker and of the function that accepted the job, so it is an
        estimate. The deadline itself is the event log's.
        """
        began_ms = max(job.created_ms, self.serving_since_ms)
        return began_ms + int(self.deadlines.queue_s * 1000) - self.clock_ms()

    def forgotten(self, job: Job) -> bool:
        """Return whether a job that is not in the log is too old for an attempt.

        No response waits until then: it has ended, or its log was lost while it ran.
        """
        return job.deadline_ms(self.deadlines.longest_wait_s) <= self.clock_ms()

    async def check_deadline(self, job: Job) -> None:
        """Check that an attempt at the job is still of use.

        Raises
        ------
        OverdueError
            The job's deadline has passed, or its response has ended.
        """
        if self.left_ms(job) > 0:
            return
        # An old job may have made progress a second ago, or its first worker may have come just
        # now: its age alone decides nothing.
        overdue = True
        if (due := self.due) is not None:
            known = await self.log_retry_policy().run(lambda: due.is_overdue(job.response_id))
            overdue = self.forgotten(job) if known is None else known
        if overdue:
            raise OverdueError("its deadline has passed")

    def no_retry_reason(
        self, job: Job, *, receive_count: int, continued: bool, wait_s: float | None = None
    ) -> NoRetryReason | None:
        """Return why no other attempt at the job can follow; None if one can.

        Parameters
        ----------
        job : Job
            The job.
        receive_count : int
            Receives of its message so far.
        continued : bool
            An attempt has begun the answer. Its receives say nothing of an overload, and
            its deadline runs from this attempt's claim on.
        wait_s : float | None
            Seconds for which the engine is busy. Such a job waits until its deadline: a busy
            upstream is no sign that this deployment has too few workers. None for a full stage.
        """
        overloaded = not continued and wait_s is None
        return no_retry_reason(
            receive_count=receive_count,
            max_receives=(
                min(self.overload_receives, self.max_receives) if overloaded else self.max_receives
            ),
            left_ms=int(self.deadlines.no_progress_s * 1000) if continued else self.left_ms(job),
            wait_s=wait_s or 0.0,
        )

    def retry_policy(self, *, begun: bool) -> RetryPolicy:
        """Return the policy for services that are unavailable: retry until drain or deadline.

        In place, because each receive of the message counts towards the dead-letter queue, and the
        job is not to blame. A worker that drains gives the job to another one instead.

        Parameters
        ----------
        begun : bool
            The response has output: it must not stand still for longer than its deadline allows.
        """
        return RetryPolicy(
            stop=self.shutdown.draining,
            within_s=self.deadlines.no_progress_s if begun else self.deadlines.queue_s,
            clock_ms=self.clock_ms,
        )

    def log_retry_policy(self) -> RetryPolicy:
        """Return the policy for the event log: while it is away, no deadline is enforced."""
        return RetryPolicy(
            stop=self.shutdown.draining, within_s=self.deadlines.queue_s, clock_ms=self.clock_ms
        )

    async def ended_in_history(self, job: Job) -> bool:
        """Return whether the response has an end in the history, which its client may know.

        A database that is away is waited for: to end a response a second time that the history has
        as completed would tell its client one thing and store another.
        """
        retry = RetryPolicy(stop=self.shutdown.draining, within_s=_HISTORY_LIMIT_S)
        try:
            return await retry.run(lambda: self._find_in_history(job))
        except UnavailableError:
            if self.shutdown.draining.is_set():
                raise  # another worker looks
            return False  # the client has waited long enough for an end

    async def _find_in_history(self, job: Job) -> bool:
        try:
            turns = await self.conversations.chain(
                job.response_id, tenant_id=job.tenant_id, connection_id=job.turn_connection_id
            )
        except HistoryPendingError:
            return True  # its record has been sent, or that of a turn before one that is stored
        return turns is not None

    def event_writer(self, job: Job, received: ReceivedJob) -> EventWriter:
        """Return an attempt's side of the job's event log."""
        return EventWriter(
            job=job,
            message_id=received.message_id,
            receive_count=received.receive_count,
            log=self.event_log,
            forgotten_s=self.deadlines.queue_s,
            retry=self.log_retry_policy(),
            clock_ms=self.clock_ms,
        )
