"""The event log: one ordered, fenced, bounded log of events per response; the only way back.

Every event, from ``response.created`` (sequence number 0) to the terminal one, is appended to it.
An attempt holds an *epoch*; a later claim takes a higher one, and from then on appends with a lower
epoch are refused. Publishing wakes the relay that owns the response; it reads what it missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from axon.event_log.checkpoint import NOTHING_DELIVERED, DeliveryCheckpoint
from axon.event_log.indexes import LogIndexes
from axon.event_log.lanes import NO_LANE, LanePosition
from axon.event_log.openings import NewResponse, Opening, Resumption


class Status(StrEnum):
    """A response's status, in the OpenAI API's words."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True if no event follows."""
        return self not in (Status.QUEUED, Status.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event: its number, its JSON (one line, UTF-8), and the token ids that it carries."""

    sequence_number: int
    data: bytes
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """A record for later attempts that no client gets: the result of a step, for example.

    They are fenced and restored as events are; their own numbers leave those of events gapless.

    Parameters
    ----------
    number : int
        Position in the response's journal, from 0 and gapless across attempts.
    after : int
        Sequence number of the event behind which it was written; several may follow one event.
    kind : str
        Says how to read `data`; the writer of the record chooses it.
    data : bytes
        The content; the log does not read it.
    """

    number: int
    after: int
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ResponseMeta:
    """A response's state in the log, besides its events.

    `job` is there until it has ended; `message_id` and `nonce` are the latest claim's; `key_id` is
    that of the request's API key, empty if opened before keys were recorded. `connection_id` and
    `relay_id` are empty for a followed response. `incomplete`: the log may lack events of an
    earlier generation: no attempt that holds them has appended since; each claim of such a log adds
    to `forks` the number from which events may be other ones than before.
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
    nonce: str = ""
    incomplete: bool = False
    forks: str = ""
    position: LanePosition = NO_LANE

    @property
    def followed(self) -> bool:
        """True if no connection waits for it: it has followers alone, and no relay."""
        return not self.connection_id


@dataclass(frozen=True, slots=True)
class LostResponse:
    """A log that Valkey has lost, as its writer holds it.

    `age_ms`: milliseconds since the request was accepted. `complete`: as in `EventLog.append`.
    `position`: as claimed; without an order, it becomes the last one of its lane. `forks`: as
    claimed.
    """

    response_id: str
    tenant_id: str
    connection_id: str
    job: bytes
    age_ms: int
    epoch: int
    events: Sequence[LoggedEvent]
    status: Status
    key_id: str = ""
    journal: Sequence[JournalRecord] = ()
    nonce: str = ""
    model: str = ""
    complete: bool = True
    position: LanePosition = NO_LANE
    forks: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt's right to append, and what it has to continue from.

    Parameters
    ----------
    epoch : int
        Number of the claim. After a loss of data two claims can have the same one.
    next_sequence, next_record : int
        The numbers of the next event and of the next journal record.
    attempts : int
        Claims since the log last grew that count for the budget (`axon.event_log.attempts`).
    died_alone : bool
        The attempt before ran alone and killed its worker.
    nonce : str
        Tells this claim from every other one.
    predecessor : str
        Nonce of the claim before. A log that shows it again has lost this claim, and no later one.
    unsure : bool
        The client may have events that the log has lost (`axon.event_log.confirmation`).
    position : LanePosition
        Place of the response in its lane, to restore it there.
    forks : str
        As `ResponseMeta` has it, with this claim's own.
    """

    epoch: int
    next_sequence: int
    next_record: int = 0
    attempts: int = field(default=1, compare=False)
    died_alone: bool = field(default=False, compare=False)
    nonce: str = field(default="", compare=False)
    predecessor: str = field(default="", compare=False)
    unsure: bool = False
    position: LanePosition = field(default=NO_LANE, compare=False)
    forks: str = field(default="", compare=False)


class AttemptLog(Protocol):
    """The calls of the event log that an attempt needs."""

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        """Take the next epoch: from here on, appends with a lower one are refused.

        Parameters
        ----------
        response_id : str
            The response to generate or to end.
        in_progress : bytes
            The event with sequence number 1. It is appended with the claim when the log holds
            event 0 alone, which spares the first attempt a round trip.
        message_id : str
            Id of the SQS message that carried the job: it would bring another attempt.

        Raises
        ------
        MissingResponseError
            No such log.
        FencedError
            The response has ended.
        UnreadableLogError
            A newer version has written the log.
        """
        ...

    async def reclaim(self, response_id: str, claim: Claim, *, message_id: str = "") -> None:
        """Take a claim again that the log has lost; for the attempt that holds its events.

        Raises
        ------
        MissingResponseError
            No such log.
        FencedError
            Another claim came after it, or the response has ended.
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
        nonce: str = "",
        predecessor: str = "",
        complete: bool = True,
    ) -> str:
        """Append and publish; a terminal `status` ends the log. Repeating an append is harmless.

        Return the id of the connection that waits for it: another one, once it was resumed; empty
        for a followed response.

        Parameters
        ----------
        response_id : str
            The response whose log grows.
        epoch : int
            The epoch of the claim under which the caller writes.
        events : Sequence[LoggedEvent]
            Consecutive, from the next number on; a repeated append adds nothing.
        status : Status
            The status of the response after these events.
        journal : Sequence[JournalRecord]
            Records of the same step, which are not published. Without events, `status` is ignored.
        nonce, predecessor : str
            Those of the claim. Without a nonce, the epoch alone is the fence.
        complete : bool
            False if the client may have later events: a claim before the next append is unsure.

        Raises
        ------
        MissingResponseError
            No such log.
        LostClaimError
            The log has lost the claim: see `reclaim`.
        GapError
            The log has lost appends that came before.
        FencedError
            A higher epoch was claimed, the response has ended, or the log has other events under
            these numbers.
        """
        ...

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        """Return the events with a sequence number above `after`, in order, at most `limit`."""
        ...

    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        """Return the journal records, in order; see `axon.event_log.journal`."""
        ...

    async def describe(self, response_id: str, *, with_job: bool = True) -> ResponseMeta | None:
        """Return the response's state, or None if it is not in the log.

        Parameters
        ----------
        response_id : str
            The response.
        with_job : bool
            With the job, which may be as large as a request: leave it out where the state is asked
            for again and again.

        Raises
        ------
        UnreadableLogError
            A newer version has written the log.
        """
        ...

    async def restore(self, response: LostResponse) -> None:
        """Make a log again that Valkey has lost; one that is there stays as it is.

        The checkpoint is lost, too, so the new one is in doubt. Unless its relay knows more and
        writes another one, the response counts as abandoned after the resume window; a followed
        one is as when it was opened.

        Raises
        ------
        UnavailableError
            No relay is alive to deliver it; a followed one needs none.
        """
        ...


class EventLog(AttemptLog, LogIndexes, Protocol):
    """The log of all responses: `ValkeyEventLog`, and `FakeValkey` for tests."""

    @property
    def generation(self) -> str:
        """Identity of the history: another one after a failover, which may lose writes."""
        ...

    async def open(self, response: NewResponse) -> Opening:
        """Open a log with event 0, enter it in the deadline index, publish.

        Where nothing was posted after the checkpoint, events are granted as they are published,
        here as in `claim` and `append`: the relay may then post them without a checkpoint first.
        Nothing is granted while another response of its lane has not been delivered.

        A followed response, which has no connection, needs no relay and joins no lane. It is
        cancelled after the attendance window unless somebody reads it
        (`axon.event_log.attendance`). It is published to its followers alone.

        Opening the same response twice changes nothing and answers as if it were the first time.

        An idempotency key counts as long as its response can be resumed. A request that repeats an
        earlier one, with the same fingerprint, opens nothing: in the same step, the first
        response is delivered to this request's connection and lane from event 0 on, unless its
        events are on their way there. A caller without a connection follows it where it is.
        """
        ...

    async def repeated(
        self,
        idempotency: str,
        *,
        fingerprint: str,
        connection_id: str,
        lane: str,
        key_id: str = "",
    ) -> Opening | None:
        """Do what `open` does for a repeated request, for one that cannot be opened.

        Return None if no earlier request had this idempotency key, or it does not count any more.
        """
        ...

    async def resume(
        self, response_id: str, *, tenant_id: str, connection_id: str, first: int, lane: str = ""
    ) -> Resumption:
        """Deliver the tenant's response to this connection's lane, from event `first` on.

        Parameters
        ----------
        response_id : str
            The response; its former connection and lane get no more of it. One that has ended can
            be resumed, too, as long as its events are kept and one is left to deliver.
        tenant_id : str
            The tenant that asks.
        connection_id : str
            The connection that gets it.
        first : int
            Sequence number of the first event to deliver.
        lane : str
            The lane of the connection; empty for the one that it is in. It becomes the last one
            there, unless it is being delivered there already.
        """
        ...

    async def checkpoint(
        self,
        response_id: str,
        checkpoint: DeliveryCheckpoint,
        *,
        relay_id: str,
        connection_id: str,
        order: int = 0,
    ) -> None:
        """Write how far the client on this connection has received; it is not abandoned then.

        `order` is that of the delivery in its lane; 0 if it has none.

        A grant stays until more has arrived or the checkpoint is closed: the call may have been
        sent before the relay received the grant, and must not take it back. A closed checkpoint
        also keeps a log that has ended as long again: its client has not received it yet.

        Raises
        ------
        MovedError
            Another relay, connection or lane has the response, or the client has received more.
        MissingResponseError
            No such log.
        LostEventsError
            The client has received events that the log has lost, and an attempt that did not hold
            them may have put other ones in their place.
        """
        ...
