"""What all attempts of a worker share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from axon.clock import now_ms
from axon.conversations import Conversations
from axon.event_log.log import Status
from axon.jobs import Job
from axon.responses.finisher import ResponseFinisher
from axon.retry import RetryPolicy
from axon.tracing import Tracing
from worker.attempt.retry_policy import LastReason, why_none_follows
from worker.engines.protocol import Engine
from worker.event_writer import AttemptLog, EventWriter
from worker.metrics import WorkerMetrics
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.post import PostProcessor, Unchanged
from worker.pipeline.stages import Stages
from worker.shutdown import Shutdown


class Terminator(Protocol):
    """Ends responses from outside an attempt (`axon.responses.terminator.ResponseTerminator`)."""

    async def end(
        self, response_id: str, status: Status, *, error: dict[str, str] | None = None
    ) -> None:
        """End a response that has not ended yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptContext:
    """What attempts share; a job that is older than `deadline_s` is not worth one.

    After `max_receives` of a message its next receive makes it a dead letter.
    """

    event_log: AttemptLog
    conversations: Conversations
    finisher: ResponseFinisher
    terminator: Terminator
    engine: Engine
    stages: Stages
    flush_policy: FlushPolicy
    metrics: WorkerMetrics
    tracing: Tracing
    shutdown: Shutdown
    deadline_s: float
    max_receives: int
    post: PostProcessor = field(default_factory=Unchanged)
    clock_ms: Callable[[], int] = now_ms

    def overdue(self, job: Job) -> bool:
        """Whether the job's deadline has passed."""
        return self.clock_ms() >= job.deadline_ms(self.deadline_s)

    def why_none_follows(self, job: Job, *, receives: int) -> LastReason | None:
        """Return why this is the last attempt at a job that was received so often, if it is."""
        return why_none_follows(
            receives=receives,
            most_receives=self.max_receives,
            left_ms=job.deadline_ms(self.deadline_s) - self.clock_ms(),
        )

    def retry_policy(self, job: Job) -> RetryPolicy:
        """Return what the job's attempts have with services that are away."""
        return RetryPolicy(
            stop=self.shutdown.draining,
            deadline_ms=job.deadline_ms(self.deadline_s),
            clock_ms=self.clock_ms,
        )

    def event_writer(self, job: Job, *, message_id: str) -> EventWriter:
        """Return an attempt's side of the job's event log."""
        return EventWriter(
            job=job,
            message_id=message_id,
            log=self.event_log,
            deadline_ms=job.deadline_ms(self.deadline_s),
            retry=self.retry_policy(job),
            clock_ms=self.clock_ms,
        )
