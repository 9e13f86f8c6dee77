"""EventWriter: an attempt's writes to the event log, which Valkey may lose at any moment."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from axon.event_log.confirmation import (
    CONFIRMATION_S,
    await_confirmation,
    claimed_since,
    confirmed_delivery,
)
from axon.event_log.log import JournalRecord, LoggedEvent, ResponseMeta, Status
from axon.exceptions import (
    FencedError,
    MissingResponseError,
)
from axon.protocol.transcript import Transcript
from worker.held_log import HeldLog


class EventWriter(HeldLog):
    """Claims an epoch of a response and appends events under it; see `HeldLog`."""

    unconfirmed = False
    """True if followers may have events that the log has lost, and other ones follow now. They end
    by themselves, but a response whose end is lost must not be answered a second time."""

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
                await self._retry.run(
                    lambda: self._restore(events[:1], Status.QUEUED, complete=False)
                )
                continue  # the restored log is claimed like any other
            self.claimed = claim
            of_the_job = claim.next_sequence <= len(events) and not claim.next_record
            if claim.unsure:
                # Another message of the job may have brought an attempt whose claim and events are
                # lost. Of the only message, the first receive has shown that there was none: then
                # nobody needs to say so, but SQS may deliver it twice, and the client may have said
                # that it has more.
                only = untouched and of_the_job and self._job.sent_once
                await self._retry.run(partial(self._confirm, required=not only))
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
        records: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Append events; restore the log first if Valkey has lost it.

        Parameters
        ----------
        events : Sequence[LoggedEvent]
            The next events.
        status : Status
            Status of the response after them.
        records : Sequence[tuple[str, bytes]]
            Kinds and contents of journal records that go into the log in the same step.

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
        first, after = len(self._journal), len(self._events) - 1
        journal = [
            JournalRecord(number=first + index, after=after, kind=kind, data=data)
            for index, (kind, data) in enumerate(records)
        ]
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
        await self.append([], records=[(kind, data)])

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

    async def _is_followed(self) -> bool:
        meta = await self._log.describe(self._job.response_id)
        return meta is not None and meta.followed

    async def _confirm(self, *, required: bool) -> None:
        """Wait for the word that the client has no more events than the log.

        Followers give none: each one compares itself with the log, and ends behind the fork that
        the claim has left.

        Parameters
        ----------
        required : bool
            False to learn only what has been said already.

        Raises
        ------
        MissingResponseError
            It has more, or nobody says though it is required.
        EndedError, DuplicateError, FencedError
            As `append`: its successor may hold all events.
        """
        claim, name = self.claimed, self._job.response_id
        if required and await self._is_followed():
            self.unconfirmed = True
            return
        within_s = CONFIRMATION_S if required else 0
        received = await confirmed_delivery(self._log, name, claim, within_s=within_s)
        if received is None and not required:
            return
        if received is None and await claimed_since(self._log, name, claim):
            raise await self.fenced_by(FencedError(f"{name} was claimed again"))
        if received is None or received > claim.next_sequence:
            raise MissingResponseError(f"{name}: the log may lack events that the client has")
