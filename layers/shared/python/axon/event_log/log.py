"""The event log: one ordered, fenced, bounded log of events per response; the only way back.

Every event, from ``response.created`` (sequence number 0) to the terminal one, is appended to
it. An attempt at a response holds an *epoch*; a later claim takes a higher one, and from then on
appends with a lower epoch are refused. Publishing wakes the relay that owns the response; the
log is the truth that it reads when it missed something.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from axon.event_log.checkpoint import NOTHING_DELIVERED, DeliveryCheckpoint


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """What an attempt keeps for a later attempt and no client gets: a step's result, for example.

    Records are fenced, restored and kept as events are. They have numbers of their own, so that
    the sequence numbers that clients see stay gapless.

    Parameters
    ----------
    number : int
        Its place in the response's journal, from 0; the next attempt goes on behind the last one.
    after : int
        Sequence number of the event that it follows in the log. Several records may follow one
        event; none comes before event 0.
    kind : str
        Says how to read `data`; whoever writes the record chooses it.
    """

    number: int
    after: int
    kind: str
    data: bytes


def in_order(
    events: Iterable[LoggedEvent], journal: Iterable[JournalRecord]
) -> list[LoggedEvent | JournalRecord]:
    """Return events and journal records as they were written, one after the other."""
    following: dict[int, list[JournalRecord]] = {}
    for record in journal:
        following.setdefault(record.after, []).append(record)
    entries: list[LoggedEvent | JournalRecord] = []
    for event in events:
        entries += [event, *following.get(event.sequence_number, ())]
    return entries


@dataclass(frozen=True, slots=True)
class ResponseMeta:
    """What the log knows of a response besides its events.

    `job` is there until it has ended; `message_id` is that of the latest claim; `key_id` is the API
    key whose request this is, empty for a response opened before keys were recorded.
    """

    response_id: str
    tenant_id: str
    connection_id: str
    relay_id: str
    status: Status
    epoch: int
    next_sequence: int
    job: bytes = b""
    checkpoint: DeliveryCheckpoint = NOTHING_DELIVERED
    message_id: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class NewResponse:
    """What opens a log: whose response it is, who waits for it, the job, and event 0.

    Parameters
    ----------
    idempotency : str
        Names the tenant and its idempotency key, if the client gave one.
    fingerprint : str
        Of the request, to tell a repeated one from another under the same key.
    key_id : str
        The API key whose request this is.
    """

    response_id: str
    tenant_id: str
    connection_id: str
    model: str
    job: bytes
    created: bytes
    idempotency: str = ""
    fingerprint: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class LostResponse:
    """What makes a log again that Valkey has lost; `deadline_ms` is of the Unix epoch."""

    response_id: str
    tenant_id: str
    connection_id: str
    job: bytes
    deadline_ms: int
    epoch: int
    events: Sequence[LoggedEvent]
    status: Status
    key_id: str = ""
    journal: Sequence[JournalRecord] = ()


class OpenResult(StrEnum):
    """What became of an attempt to open a log.

    Unattended: it is open, but no worker that serves the model has been heard of lately.
    No model: none is known at all, as when Valkey has just lost its data.
    Repeated: its idempotency key is that of an earlier request.
    """

    OPENED = "opened"
    UNATTENDED = "unattended"
    REPEATED = "repeated"
    UNKNOWN_MODEL = "unknown_model"
    NO_MODEL = "no_model"
    NO_RELAY = "no_relay"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Opening:
    """An outcome, and of a repeated request the first one's response id and fingerprint."""

    outcome: OpenResult
    first_id: str = ""
    fingerprint: str = ""


class Resumption(StrEnum):
    """What became of an attempt to have a response delivered to another connection.

    Ahead: it has no such event, or it has ended and nothing follows.
    """

    RESUMED = "resumed"
    MISSING = "missing"
    AHEAD = "ahead"
    NO_RELAY = "no_relay"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt's right to append: its epoch, and the numbers of the next event and record."""

    epoch: int
    next_sequence: int
    next_record: int = 0


class EventLog(Protocol):
    """Kept in Valkey; a fake in `axon.testing`."""

    async def open(self, response: NewResponse) -> Opening:
        """Open a log with event 0, enter it in the deadline index, publish.

        Where nothing was posted after the checkpoint, events are granted as they are published,
        here as in `claim` and `append`: from then on the relay may post them without marking that.

        Opening the same response twice changes nothing and answers as if it were the first time.
        An idempotency key counts as long as its response can be resumed.
        """
        ...

    async def repeated(self, idempotency: str) -> Opening | None:
        """Return what an earlier request with this idempotency key has begun."""
        ...

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        """Take the next epoch; `message_id` is the message that would bring another attempt.

        `in_progress` is the event with sequence number 1: it is appended with the claim when the
        log holds event 0 alone, which spares the first attempt a round trip.

        Raises
        ------
        MissingResponseError
            No such log.
        FencedError
            The response has ended.
        """
        ...

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
        journal: Sequence[JournalRecord] = (),
    ) -> str:
        """Append and publish; a terminal `status` ends the log. Repeating an append is harmless.

        Return the id of the connection that waits for it: another one, once it was resumed.

        Parameters
        ----------
        journal : Sequence[JournalRecord]
            Records that go into the log in the same step; nobody is told of them. There may be
            records without events: then `status` says nothing.

        Raises
        ------
        MissingResponseError
            No such log.
        FencedError
            A higher epoch was claimed, or the response has ended.
        """
        ...

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        """Return the events with a sequence number above `after`, in order, at most `limit`."""
        ...

    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        """Return the journal records, in order; `in_order` puts them between the events."""
        ...

    async def describe(self, response_id: str) -> ResponseMeta | None:
        """Return what is known of the response, or None."""
        ...

    async def restore(self, response: LostResponse) -> None:
        """Make a log again that Valkey has lost; one that is there stays as it is.

        How far the client was told is lost, too: the checkpoint says that nothing is certain.
        Unless its relay knows more, and says so, the response counts as abandoned.

        Raises
        ------
        UnavailableError
            No relay is there.
        """
        ...

    async def resume(
        self, response_id: str, *, tenant_id: str, connection_id: str, first: int
    ) -> Resumption:
        """Have the tenant's response delivered to this connection, from event `first` on.

        Its former connection gets no more of it. A log that has ended can be resumed, too, as long
        as its events are kept and one is left to deliver.
        """
        ...

    async def checkpoint(
        self, response_id: str, checkpoint: DeliveryCheckpoint, *, relay_id: str, connection_id: str
    ) -> None:
        """Note how far the relay has told the client on this connection: it is not abandoned.

        A grant stands until more has arrived or the checkpoint is sealed: the relay may not have
        heard of it yet.

        Raises
        ------
        MovedError
            The response is not this relay's and connection's any more, or the client was told more
            already.
        MissingResponseError
            No such log.
        """
        ...

    async def overdue(self, *, limit: int = 100) -> list[str]:
        """Return ids of responses that have not ended by their deadline."""
        ...

    async def abandon(self, connection_id: str) -> None:
        """Note that a connection is gone: what it waits for has a while to be resumed."""
        ...

    async def abandoned(self, *, limit: int = 100) -> list[str]:
        """Return ids of responses that nobody has resumed in time."""
        ...

    async def forget(self, response_id: str) -> None:
        """Take a response out of the indexes: its log is gone, nobody can be told."""
        ...

    async def running_for(self, connection_id: str) -> set[str]:
        """Return ids of the responses of a connection that have not ended."""
        ...
