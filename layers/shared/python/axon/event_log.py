"""The event log: one ordered, fenced, bounded log of events per response; the only way back.

Every event, from ``response.created`` (sequence number 0) to the terminal one, is appended to
it. An attempt at a response holds an *epoch*; a later claim takes a higher one, and from then on
appends with a lower epoch are refused. Publishing wakes the relay that owns the response; the
log is the truth that it reads when it missed something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """Of a response, in the OpenAI API's words."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self not in (Status.QUEUED, Status.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event: its number, its JSON (one line, UTF-8), and the token ids that it carries."""

    sequence_number: int
    data: bytes
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseMeta:
    """What the log knows of a response besides its events; `job` is there until it has ended."""

    response_id: str
    tenant_id: str
    connection_id: str
    relay_id: str
    status: Status
    epoch: int
    next_sequence: int
    job: bytes = b""


@dataclass(frozen=True, slots=True)
class NewResponse:
    """What opens a log: whose response it is, who waits for it, the job, and event 0."""

    response_id: str
    tenant_id: str
    connection_id: str
    model: str
    job: bytes
    created: bytes


class Opening(StrEnum):
    """What became of an attempt to open a log.

    Unattended: it is open, but no worker that serves the model has been heard of lately.
    """

    OPENED = "opened"
    UNATTENDED = "unattended"
    UNKNOWN_MODEL = "unknown_model"
    NO_RELAY = "no_relay"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt's right to append: its epoch and the number that the next event will have."""

    epoch: int
    next_sequence: int


class EventLog(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def open(self, response: NewResponse) -> Opening:
        """Open a log with event 0, enter it in the deadline index, publish.

        Opening the same response twice changes nothing and answers as if it were the first time.
        """
        ...

    async def claim(self, response_id: str, *, in_progress: bytes = b"") -> Claim:
        """Take the next epoch.

        `in_progress` is the event with sequence number 1: it is appended with the claim when the
        log holds event 0 alone, which spares the first attempt a round trip.

        Raises
        ------
        MissingResponseError : no such log.
        FencedError : the response has ended.
        """
        ...

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
    ) -> None:
        """Append and publish; a terminal `status` ends the log. Repeating an append is harmless.

        Raises
        ------
        MissingResponseError : no such log.
        FencedError : a higher epoch was claimed, or the response has ended.
        """
        ...

    async def read(self, response_id: str, *, after: int = -1) -> list[LoggedEvent]:
        """Return the events with a sequence number above `after`, in order."""
        ...

    async def describe(self, response_id: str) -> ResponseMeta | None:
        """Return what is known of the response, or None."""
        ...

    async def overdue(self, *, limit: int = 100) -> list[str]:
        """Return ids of responses that have not ended by their deadline."""
        ...

    async def close_overdue(self, response_id: str) -> None:
        """Take a response out of the deadline index: its log is gone, nobody can be told."""
        ...

    async def running_for(self, connection_id: str) -> set[str]:
        """Return ids of the responses of a connection that have not ended."""
        ...
