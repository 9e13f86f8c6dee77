"""Outcomes of attempts, and the actions on their jobs' messages."""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto


class MessageAction(Enum):
    """Action on a job's SQS message after an attempt."""

    DELETE = auto()
    """The job is done, or another message carries it."""
    RELEASE = auto()
    """Visible again at once, for another worker."""
    DELAY = auto()
    """Visible again after the delay of the retry policy."""
    LEAVE = auto()
    """Visible again after its visibility timeout, unless another attempt deletes it before."""


class AttemptOutcome(StrEnum):
    """Outcome of an attempt; the values are labels in metrics and traces."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The response had ended before: by a client, its absence, the deadline or another attempt."""
    OVERDUE = "overdue"
    """The job was past its deadline."""
    DUPLICATE = "duplicate"
    """A newer attempt runs the same job from another message."""
    SHED = "shed"
    """A stage's queue was full and no later attempt is possible: the response failed."""
    RELEASED = "released"
    """Another attempt follows."""
    DELAYED = "delayed"
    """A stage's queue was full: another attempt follows after a delay."""
    FENCED = "fenced"
    """A newer attempt runs the job from the same message."""
    FORWARDED = "forwarded"
    """A peer runs the job."""

    @property
    def message_action(self) -> MessageAction:
        """Action on the message of an attempt that returned this outcome."""
        return _MESSAGE_ACTIONS.get(self, MessageAction.DELETE)

    @property
    def final(self) -> bool:
        """Return whether no other attempt at the job follows or runs."""
        return self.message_action is MessageAction.DELETE


_MESSAGE_ACTIONS: Mapping[AttemptOutcome, MessageAction] = {
    AttemptOutcome.RELEASED: MessageAction.RELEASE,
    AttemptOutcome.DELAYED: MessageAction.DELAY,
    # The other attempt, here or at a peer, needs the message: if it dies, SQS delivers it again.
    AttemptOutcome.FENCED: MessageAction.LEAVE,
    AttemptOutcome.FORWARDED: MessageAction.LEAVE,
}
