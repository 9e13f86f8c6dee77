"""Results of attempts: outcomes, and the actions on their jobs' messages."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class MessageAction(Enum):
    """Action on a job's SQS message after an attempt."""

    DELETE = auto()
    """The job is done, or another message carries it."""
    RELEASE = auto()
    """Visible again at once, for another worker."""
    DELAY = auto()
    """Visible again after the delay of the retry policy."""
    WAIT = auto()
    """Visible again after some seconds, for a worker that may run it alone then."""
    POSTPONE = auto()
    """Visible again after a delay that grows, for a worker of a newer version."""
    PARK = auto()
    """The job has ended, and is kept for the operator."""
    LEAVE = auto()
    """Visible again after its visibility timeout, unless another attempt deletes it before."""


class AttemptOutcome(StrEnum):
    """Outcome of an attempt; the values are labels in metrics and traces."""

    COMPLETED = "completed"
    FAILED = "failed"
    CONDEMNED = "condemned"
    """The request killed a worker on which it ran alone: the response failed."""
    CANCELLED = "cancelled"
    """The response had ended before: by a client, its absence, the deadline or another attempt."""
    OVERDUE = "overdue"
    """The job was past its deadline."""
    DUPLICATE = "duplicate"
    """A newer attempt runs the same job from another message."""
    SHED = "shed"
    """There was no room, and no later attempt is possible: the response failed."""
    RELEASED = "released"
    """Another attempt follows."""
    DELAYED = "delayed"
    """A stage's queue was full, or the engine busy: another attempt follows after a delay."""
    SUSPECT = "suspect"
    """The attempt must run alone, and cannot now: another one follows after some seconds."""
    FENCED = "fenced"
    """A newer attempt runs the job from the same message."""
    FORWARDED = "forwarded"
    """A peer runs the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The end of an attempt: what is counted, and what happens to the job's message.

    The result of an attempt that an exception has ended is the exception's row in
    `worker.attempt.endings.ENDINGS`. The constants below are the results without an exception.

    Parameters
    ----------
    outcome : AttemptOutcome
        Outcome in metrics and traces.
    message : MessageAction
        Action on the job's message.
    wait_s : float
        Seconds before which another attempt would be of no use, for `MessageAction.DELAY`.
    """

    outcome: AttemptOutcome
    message: MessageAction
    wait_s: float = 0.0


COMPLETED = AttemptResult(outcome=AttemptOutcome.COMPLETED, message=MessageAction.DELETE)
FORWARDED = AttemptResult(outcome=AttemptOutcome.FORWARDED, message=MessageAction.LEAVE)
"""The attempt of the peer needs the message: if the peer dies, SQS delivers it again."""
DELAYED = AttemptResult(outcome=AttemptOutcome.DELAYED, message=MessageAction.DELAY)
"""The router expects a worker that serves the model soon."""
RELEASED = AttemptResult(outcome=AttemptOutcome.RELEASED, message=MessageAction.RELEASE)
"""The worker drains while the router waits for the model."""
