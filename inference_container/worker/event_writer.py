"""An attempt's side of the event log, which Valkey may lose at any moment."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from axon.event_log.log import Claim, JournalRecord, LoggedEvent, LostResponse, ResponseMeta, Status
from axon.exceptions import FencedError, MissingResponseError
from axon.jobs import Job
from axon.protocol.transcript import Transcript
from axon.retry import RetryPolicy, backoff

LOGGER = logging.getLogger(__name__)

_CLAIMS = 32
"""More than there are of one log. Epochs stay within 31 bits for 18 hours."""
_LOOKS = 6
"""At what became of a claim, within 3.5 s at most."""


class EndedError(FencedError):
    """The response was ended from outside: by a client, its absence, or the deadline."""


class DuplicateError(FencedError):
    """A newer attempt has another message of the same job: this one is not needed."""


class AttemptLog(Protocol):
    """What an attempt uses of the event log (`axon.event_log.log.EventLog`)."""

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        """Take the next epoch."""
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
        """Append and publish; a terminal `status` ends the log."""
        ...

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        """Return the events."""
        ...

    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        """Return the journal records."""
        ...

    async def describe(self, response_id: str) -> ResponseMeta | None:
        """Return what is known of the response, or None."""
        ...

    async def restore(self, response: LostResponse) -> None:
        """Make a log again that was lost."""
        ...


class EventWriter:
    """Claims and appends; keeps what the log holds, to make it again when Valkey has lost it.

    Parameters
    ----------
    message_id : str
        Of the message that brought the job.
    deadline_ms : int
        The job's; what is missing afterwards has ended and was forgotten.
    retry : RetryPolicy
        With a Valkey that is away.
    """

    def __init__(
        self,
        *,
        job: Job,
        message_id: str,
        log: AttemptLog,
        deadline_ms: int,
        retry: RetryPolicy,
        clock_ms: Callable[[], int],
    ) -> None:
        self.epoch = 0
        self._job = job
        self._message_id = message_id
        self._log = log
        self._deadline_ms = deadline_ms
        self._retry = retry
        self._clock_ms = clock_ms
        self._connection_id = job.connection_id
        self._events: list[LoggedEvent] = []
        self._journal: list[JournalRecord] = []

    @property
    def journal(self) -> Sequence[JournalRecord]:
        """The journal records of this attempt and, since the claim, of earlier ones."""
        return self._journal

    async def claim(self, *, untouched: bool) -> Transcript:
        """Take the next epoch; return what earlier attempts have made of the response.

        `untouched`: nobody has worked on the job before, so that a lost log can begin anew.

        Raises
        ------
        EndedError
            The response has ended.
        MissingResponseError
            Valkey has lost what somebody may have been told.
        """
        fresh = self._job.transcript()
        events = [fresh.created(), fresh.in_progress()]
        while True:
            try:
                claim = await self._retry.run(lambda: self._claim(events[1]))
            except MissingResponseError:
                if not untouched:
                    raise
                self.epoch = self._new_epoch()
                await self._retry.run(lambda: self._restore(events[:1], Status.QUEUED))
                continue
            self.epoch = claim.epoch
            if claim.next_sequence == len(events) and not claim.next_record:
                self._events = events
                return fresh
            untouched = False
            logged = await self._retry.run(lambda: self._log.read(self._job.response_id))
            journal = await self._read_journal() if claim.next_record else []
            # Fewer: Valkey has lost the log since the claim, and perhaps got another one since. To
            # go on from less than the claim says would tell the client something else than before.
            if len(logged) >= claim.next_sequence and len(journal) >= claim.next_record:
                self._events, self._journal = logged, journal
                transcript = self._job.transcript()
                transcript.replay(logged)
                return transcript

    async def append(
        self, events: Sequence[LoggedEvent], *, status: Status = Status.IN_PROGRESS
    ) -> None:
        """Append; a log that Valkey has lost is made again first.

        Raises
        ------
        EndedError
            The response has ended.
        DuplicateError
            A newer attempt has another message of the job.
        FencedError
            A newer attempt has it by the same message, or a terminator that did not end it.
        MissingResponseError
            It is lost, and this attempt must not make it again: it is past its deadline, or another
            attempt may have told the client more.
        """
        await self._retry.run(lambda: self._append(events, status))
        self._events += events

    async def record(self, kind: str, data: bytes) -> None:
        """Append a journal record behind the events so far; no client is told of it.

        Parameters
        ----------
        kind : str
            Says how a later attempt is to read `data`.

        Raises
        ------
        EndedError, DuplicateError, FencedError, MissingResponseError
            As `append`.
        """
        record = JournalRecord(
            number=len(self._journal), after=len(self._events) - 1, kind=kind, data=data
        )
        await self._retry.run(lambda: self._append([], Status.IN_PROGRESS, [record]))
        self._journal.append(record)

    async def fail_lost(self, transcript: Transcript, error: dict[str, str]) -> LoggedEvent | None:
        """Make a log that tells of nothing but a failure; None if there is another one meanwhile.

        `transcript` is a fresh one; returns the terminal event.
        """
        events = [transcript.created(), transcript.end(Status.FAILED, error=error)]
        self.epoch = self._new_epoch()
        meta = None
        while meta is None:  # it may be lost again at once
            await self._retry.run(lambda: self._restore(events, Status.FAILED))
            meta = await self._retry.run(lambda: self._log.describe(self._job.response_id))
        return events[1] if meta.epoch == self.epoch else None

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
        response_id = self._job.response_id
        while True:
            try:
                self._connection_id = await self._log.append(
                    response_id, epoch=self.epoch, events=events, status=status, journal=journal
                )
            except MissingResponseError:
                if self._clock_ms() >= self._deadline_ms:
                    raise
                await self._restore(self._events, Status.IN_PROGRESS)
            except FencedError as error:
                raise await self._fenced_by(error) from error
            else:
                return

    async def _fenced_by(self, error: FencedError) -> Exception:
        """Tell who did it: a terminator is given the time to end what it has claimed."""
        for pause_s in islice(backoff(first_s=0.1, longest_s=1.0), _LOOKS):
            meta = await self._log.describe(self._job.response_id)
            if meta is None:  # whoever fenced this attempt off may have nothing to go on from
                return MissingResponseError(str(error))
            if meta.status.terminal:
                return EndedError(str(error))
            if meta.message_id:
                return error if meta.message_id == self._message_id else DuplicateError(str(error))
            await asyncio.sleep(pause_s)
        return error

    async def _restore(self, events: Sequence[LoggedEvent], status: Status) -> None:
        job = self._job
        await self._log.restore(
            LostResponse(
                response_id=job.response_id,
                tenant_id=job.tenant_id,
                key_id=job.key_id,
                connection_id=self._connection_id,
                job=job.encode(),
                deadline_ms=self._deadline_ms,
                epoch=self.epoch,
                events=events,
                journal=self._journal,
                status=status,
            )
        )
        LOGGER.warning(
            "%s was lost by Valkey and is restored with %d events", job.response_id, len(events)
        )

    def _new_epoch(self) -> int:
        """Return one above all that were claimed of the lost log, or of one restored before."""
        age_ms = max(self._clock_ms() - self._job.created_ms, 0)
        return _CLAIMS * (1 + age_ms)
