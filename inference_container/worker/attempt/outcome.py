"""What an attempt at a job came to."""

from enum import StrEnum


class AttemptOutcome(StrEnum):
    """How an attempt ended: the first six end the job too."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The response had an end: by a client, its absence, the deadline or an earlier attempt."""
    OVERDUE = "overdue"
    """The job was older than its deadline, and not run."""
    DUPLICATE = "duplicate"
    """A newer attempt has another message of the same job."""
    SHED = "shed"
    """A stage's queue was full, and no later attempt can be: the client was told."""
    RELEASED = "released"
    """Another attempt follows."""
    DELAYED = "delayed"
    """A stage's queue was full: another attempt follows after a pause."""
    FENCED = "fenced"
    """A newer attempt has the job."""
    FORWARDED = "forwarded"
    """Another worker runs it."""

    @property
    def final(self) -> bool:
        """Whether the job is finished with."""
        return self not in _GOING_ON


_GOING_ON = (
    AttemptOutcome.RELEASED,
    AttemptOutcome.DELAYED,
    AttemptOutcome.FENCED,
    AttemptOutcome.FORWARDED,
)
