"""EventWriter: an attempt's writes to the event log, which Valkey may lose at any moment."""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from axon.event_log.confirmation import await_confirmation, claimed_since, confirmed_delivery
from axon.event_log.journal import pieces
from axon.event_log.log import (
    AttemptLog,
    Claim,
    JournalRecord,
    LoggedEvent,
    LostResponse,
    ResponseMeta,
    Status,
)
from axon.exceptions import (
    AxonError,
    FencedError,
    GapError,
    LostClaimError,
    MissingResponseError,
)
from axon.jobs import Job
from axon.protocol.transcript import Transcript
from axon.retry import RetryPolicy
from worker.claimers import EndedError, claimer_error

logger = logging.getLogger(__name__)

_EPOCHS_PER_RECEIVE = 1 << 16
"""Epochs reserved for each receive of a job: more than a log is ever claimed until the next one."""


class EventWriter:
    """Claims an epoch of a response and appends events under it.

    It keeps everything that the log holds, so that the attempt can make a log again that Valkey has
    lost, or append again what it lacks after a failover, and continue: the events are generated
    once, with the same numbers and bytes, and the client sees no difference.

    Parameters
    ----------
    job : Job
        The job whose response is written.
    message_id : str
        Id of the SQS message that carried the job; the log keeps it, so that a fenced attempt can
        tell whether its own message is still needed.
    receive_count : int
        How often the job was received so far, this time included.
    log : AttemptLog
        The event log.
    forgotten_s : float
        Seconds after a successful call for which a log that ended meanwhile is certainly kept. One
        that is missing later, as for a process that was stopped meanwhile, may not have been lost:
        the response may have ended, and its log have expired.
    retry : RetryPolicy
        Retries while Valkey is unavailable. All calls are idempotent: a sequence number is
        appended once, and a claim that was executed twice only takes two epochs.
    clock_ms : Callable[[], int]
        Milliseconds of the Unix epoch.
    """

    def __init__(
        self,
        *,
        job: Job,
        message_id: str,
        receive_count: int = 1,
        log: AttemptLog,
        forgotten_s: float,
        retry: RetryPolicy,
        clock_ms: Callable[[], int],
    ) -> None:
        self.claimed = Claim(epoch=0, next_sequence=0)
        self._job = job
        self._message_id = message_id
        self._receive_count = receive_count
        self._log = log
        self._forgotten_ms = int(forgotten_s * 1000)
        self._reached_ms = clock_ms()
        self._retry = retry
        self._clock_ms = clock_ms
        self._connection_id = job.connection_id
        self._events: list[LoggedEvent] = []
        self._journal: list[JournalRecord] = []

    @property
    def epoch(self) -> int:
        """The epoch of the claim; 0 before the first one."""
        return self.claimed.epoch

    @property
    def events(self) -> Sequence[LoggedEvent]:
        """Events of this attempt and, after the claim, of earlier ones."""
        return self._events

    @property
    def journal(self) -> Sequence[JournalRecord]:
        """Journal records of this attempt and, after the claim, of earlier ones."""
        return self._journal

    async def claim(self, *, untouched: bool) -> Transcript:
        """Take the next epoch; return the transcript of what earlier attempts have logged.

        From then on all appends with lower epochs are refused.

        Parameters
        ----------
        untouched : bool
            The message was received for the first time. If it is the job's only one, no event but
            `response.created` exists, so the job alone is enough to create a lost log again.

        Raises
        ------
        EndedError
            The response has ended.
        MissingResponseError
            Valkey has lost events that the client may have received, or all of them.
        """
        fresh = self._job.transcript()
        events = fresh.first_events()
        while True:
            try:
                claim = await self._retry.run(lambda: self._claim(events[1]))
            except MissingResponseError:
                # Another message of the job may have been received before, and its attempt's events
                # been delivered.
                if not (untouched and self._job.sent_once):
                    raise
                self.claimed = self._new_claim()
                await self._retry.run(lambda: self._restore(events[:1], Status.QUEUED))
                continue  # the restored log is claimed like any other
            self.claimed = claim
            if claim.unsure:
                # No receive count replaces this. Another message of the job, or the same one that
                # SQS delivers twice, may have brought an attempt whose claim and events are lost.
                await self._retry.run(self._confirm)
            if claim.next_sequence == len(events) and not claim.next_record:
                self._events = events
                return fresh
            # Another attempt has appended: what the client has received is no longer known from
            # the job alone, so a loss from here on must not begin the log a second time.
            untouched = False
            logged = await self._retry.run(lambda: self._log.read(self._job.response_id))
            journal = await self._read_journal() if claim.next_record else []
            if len(logged) >= claim.next_sequence and len(journal) >= claim.next_record:
                self._events, self._journal = logged, journal
                transcript = self._job.transcript()
                transcript.replay(logged)
                return transcript
            # Less than was claimed: Valkey has lost the log since, and perhaps has a new one. To
            # continue from less than the claim says could contradict what the client has received.
            # The next claim shows what there is.

    async def append(
        self,
        events: Sequence[LoggedEvent],
        *,
        status: Status = Status.IN_PROGRESS,
        record: tuple[str, bytes] | None = None,
    ) -> None:
        """Append events; restore the log first if Valkey has lost it.

        Parameters
        ----------
        events : Sequence[LoggedEvent]
            The next events.
        status : Status
            Status of the response after them.
        record : tuple[str, bytes] | None
            Kind and content of a journal record that goes into the log in the same step.

        Raises
        ------
        EndedError
            The response has ended.
        DuplicateError
            A newer attempt runs the job from another message.
        FencedError
            A newer attempt runs it from the same message, or a terminator has claimed the
            response but not ended it.
        MissingResponseError
            The log is lost and this attempt must not restore it: it is past its deadline, or
            another attempt may have sent the client more than this one knows.
        """
        numbers = {"number": len(self._journal), "after": len(self._events) - 1}
        journal = [JournalRecord(**numbers, kind=record[0], data=record[1])] if record else []
        await self._retry.run(lambda: self._append(events, status, journal))
        self._events += events
        self._journal += journal

    async def repeat_end(self, status: Status) -> None:
        """Append the terminal event again, and before it what else the log has lost since.

        Raises
        ------
        EndedError, DuplicateError, FencedError, MissingResponseError
            As `append`.
        """
        # A log that is missing is made again from the events before the end.
        *self._events, end = self._events
        try:
            await self._append([end], status)
        finally:
            self._events.append(end)

    async def record(self, kind: str, data: bytes) -> None:
        """Append a journal record after the events so far; it is not delivered to clients.

        Parameters
        ----------
        kind : str
            Kind of the record, by which a later attempt knows how to read `data`.
        data : bytes
            Content of the record.

        Raises
        ------
        EndedError, DuplicateError, FencedError, MissingResponseError
            As `append`.
        """
        await self.append([], record=(kind, data))

    async def fail_lost(self, transcript: Transcript, error: dict[str, str]) -> LoggedEvent | None:
        """Create a lost log again with nothing but a failure.

        Parameters
        ----------
        transcript : Transcript
            A fresh transcript of the job.
        error : dict[str, str]
            The error of `response.failed`.

        Returns
        -------
        LoggedEvent | None
            The terminal event; None if another attempt restored the log before, whose events are
            better than a failure.
        """
        first = transcript.first_events()  # its client may have both
        meta = await self._retry.run(lambda: self._log.describe(self._job.response_id))
        if meta is not None:
            with suppress(FencedError, MissingResponseError):  # another one has it now
                return await self._fail_incomplete(meta, transcript, first[1], error)
            return None
        events = [*first, transcript.end(Status.FAILED, error=error)]
        self.claimed = self._new_claim()
        while meta is None:  # the new log may be lost, too, before it can be read
            await self._retry.run(lambda: self._restore(events, Status.FAILED))
            meta = await self._retry.run(lambda: self._log.describe(self._job.response_id))
        return events[-1] if meta.nonce == self.claimed.nonce else None  # else another's log

    async def _fail_incomplete(
        self, meta: ResponseMeta, transcript: Transcript, begun: LoggedEvent, error: dict[str, str]
    ) -> LoggedEvent | None:
        """End a log that may lack events which the client has; None if its end is another's."""
        if not meta.incomplete or meta.status.terminal:
            return None
        await self._retry.run(lambda: await_confirmation(self._log, self._job.response_id))
        claim = self.claimed = await self._retry.run(lambda: self._claim(begun))
        logged = await self._retry.run(lambda: self._log.read(self._job.response_id))
        transcript.replay(logged)
        # If the relay has said what its client has, the failure is the next event there. Else a
        # relay that is ahead finds this claim's fork, and closes its connection.
        if claim.unsure:
            received = await self._retry.run(
                lambda: confirmed_delivery(self._log, self._job.response_id, claim, within_s=0)
            )
            transcript.next_sequence = max(received or 0, claim.next_sequence)
        event = transcript.end(Status.FAILED, error=error)
        await self._retry.run(lambda: self._try_append([event], Status.FAILED, []))
        return event

    async def _confirm(self) -> None:
        """Wait for the word that the client has no more events than the log.

        Raises
        ------
        MissingResponseError
            It has more, or nobody says.
        EndedError, DuplicateError, FencedError
            As `append`: its successor may hold all events.
        """
        claim, name = self.claimed, self._job.response_id
        received = await confirmed_delivery(self._log, name, claim)
        if received is None and await claimed_since(self._log, name, claim):
            raise await self.fenced_by(FencedError(f"{name} was claimed again"))
        if received is None or received > claim.next_sequence:
            raise MissingResponseError(f"{name}: the log may lack events that the client has")

    async def _claim(self, in_progress: LoggedEvent) -> Claim:
        try:
            return await self._log.claim(
                self._job.response_id, in_progress=in_progress.data, message_id=self._message_id
            )
        except FencedError as error:
            raise EndedError(str(error)) from error

    async def _read_journal(self) -> list[JournalRecord]:
        return await self._retry.run(lambda: self._log.read_journal(self._job.response_id))

    async def _append(
        self,
        events: Sequence[LoggedEvent],
        status: Status,
        journal: Sequence[JournalRecord] = (),
    ) -> None:
        while True:
            try:
                await self._try_append(events, status, journal)
            except MissingResponseError:
                if self._clock_ms() >= self._reached_ms + self._forgotten_ms:
                    raise
                # An existing log stays as it is. So if a newer attempt has restored it meanwhile,
                # this call changes nothing, and the append that follows is refused.
                await self._restore(self._events, Status.IN_PROGRESS)
            except FencedError as error:
                await self._heal(error)
            else:
                self._reached_ms = self._clock_ms()
                return

    async def _try_append(
        self, events: Sequence[LoggedEvent], status: Status, journal: Sequence[JournalRecord]
    ) -> None:
        self._connection_id = await self._log.append(
            self._job.response_id,
            epoch=self.epoch,
            events=events,
            status=status,
            journal=journal,
            nonce=self.claimed.nonce,
            predecessor=self.claimed.predecessor,
        )

    async def _heal(self, error: FencedError) -> None:
        """Give the log again what it has lost of this attempt; raise if another attempt has it."""
        try:
            match error:
                case LostClaimError():
                    await self._log.reclaim(
                        self._job.response_id, self.claimed, message_id=self._message_id
                    )
                case GapError():
                    await self._append_again(error)
                case _:
                    raise error
        except (LostClaimError, GapError, MissingResponseError):
            return  # lost once more meanwhile: the caller's next try shows what is missing now
        except FencedError as fenced:
            raise await self.fenced_by(fenced) from fenced

    async def _append_again(self, gap: GapError) -> None:
        """Append what the log lacks: the same events, under the same numbers, in the same bytes.

        A relay that has delivered them skips them. Another attempt cannot have put others there: it
        would have claimed the response, and this append were refused.
        """
        first, record = gap.next_sequence, gap.next_record
        if first >= len(self._events) and record >= len(self._journal):
            raise AxonError(f"{self._job.response_id}: {gap}")  # a bug: nothing is missing
        logger.warning("%s lacks events from %d on, appended again", self._job.response_id, first)
        for events, journal in pieces(self._events[first:], self._journal[record:]):
            await self._try_append(events, Status.IN_PROGRESS, journal)

    async def fenced_by(self, error: FencedError) -> Exception:
        """Return the error that says who has claimed the response."""
        return await claimer_error(
            self._log, self._job.response_id, message_id=self._message_id, error=error
        )

    async def _restore(self, events: Sequence[LoggedEvent], status: Status) -> None:
        job = self._job
        await self._log.restore(
            LostResponse(
                response_id=job.response_id,
                tenant_id=job.tenant_id,
                key_id=job.key_id,
                connection_id=self._connection_id,
                job=job.encode(),
                age_ms=self._clock_ms() - job.created_ms,
                model=job.model,
                epoch=self.epoch,
                events=events,
                journal=self._journal,
                status=status,
                nonce=self.claimed.nonce,
            )
        )
        logger.warning("%s was lost, and is restored: %d events", job.response_id, len(events))

    def _new_claim(self) -> Claim:
        """Return the claim of a log that this attempt makes again.

        The nonce is the fence. The epoch is above all that the lost log can have had before this
        receive, for attempts of the version before, and for the versions of history records.
        """
        epoch = self._receive_count * _EPOCHS_PER_RECEIVE
        return Claim(epoch=epoch, next_sequence=0, nonce=secrets.token_hex(8))
