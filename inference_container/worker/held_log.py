"""HeldLog: what an attempt has written, and how the log gets it again when Valkey has lost it."""

import logging
import secrets
from collections.abc import Callable, Sequence

from axon.event_log.journal import pieces
from axon.event_log.lanes import LanePosition
from axon.event_log.log import AttemptLog, Claim, JournalRecord, LoggedEvent, LostResponse, Status
from axon.exceptions import (
    AxonError,
    FencedError,
    GapError,
    LostClaimError,
    MissingResponseError,
)
from axon.jobs import Job
from axon.retry import RetryPolicy
from worker.claimers import EndedError, claimer_error

logger = logging.getLogger(__name__)

_EPOCHS_PER_RECEIVE = 1 << 16
"""Epochs reserved for each receive of a job: more than a log is ever claimed until the next one."""


class HeldLog:
    """Writes under a claim, and repairs the log.

    It keeps everything that the log holds, so that the attempt can make a log again that Valkey has
    lost, or append again what it lacks after a failover, and continue: the events are generated
    once, with the same numbers and bytes, and the client sees no difference.

    Until the repair is complete, the log counts as one that may lack events of its client: if the
    attempt dies in between, the next claimant asks the relay first.

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
                await self._restore(self._events, Status.IN_PROGRESS, complete=False)
            except FencedError as error:
                await self._heal(error)
            else:
                self._reached_ms = self._clock_ms()
                return

    async def _try_append(
        self,
        events: Sequence[LoggedEvent],
        status: Status,
        journal: Sequence[JournalRecord],
        *,
        complete: bool = True,
    ) -> None:
        self._connection_id = await self._log.append(
            self._job.response_id,
            epoch=self.epoch,
            events=events,
            status=status,
            journal=journal,
            nonce=self.claimed.nonce,
            predecessor=self.claimed.predecessor,
            complete=complete,
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
            await self._try_append(events, Status.IN_PROGRESS, journal, complete=False)

    async def fenced_by(self, error: FencedError) -> Exception:
        """Return the error that says who has claimed the response."""
        return await claimer_error(
            self._log, self._job.response_id, message_id=self._message_id, error=error
        )

    async def _restore(
        self, events: Sequence[LoggedEvent], status: Status, *, complete: bool = True
    ) -> None:
        job, place = self._job, self.claimed.position
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
                complete=complete,
                position=place if place.lane else LanePosition(job.lane),
                forks=self.claimed.forks,
            )
        )
        logger.warning("%s was lost, and is restored: %d events", job.response_id, len(events))

    def _new_claim(self) -> Claim:
        """Return the claim of a log that this attempt makes again.

        The nonce is the fence. The epoch is above all that the lost log can have had before this
        receive, for attempts of the version before, and for the versions of history records.
        """
        epoch = self._receive_count * _EPOCHS_PER_RECEIVE
        position, nonce = self.claimed.position, secrets.token_hex(8)
        return Claim(epoch=epoch, next_sequence=0, nonce=nonce, position=position)
