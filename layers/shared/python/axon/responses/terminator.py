"""ResponseTerminator: ends responses from outside a worker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from itertools import islice

from axon.clock import now_ms
from axon.event_log.confirmation import await_confirmation, confirmed_delivery
from axon.event_log.kept_ends import KeptEnds
from axon.event_log.lanes import LanePosition
from axon.event_log.log import (
    Claim,
    EventLog,
    JournalRecord,
    LoggedEvent,
    LostResponse,
    ResponseMeta,
    Status,
)
from axon.exceptions import (
    FencedError,
    LostClaimError,
    MissingResponseError,
    RequestError,
    UnavailableError,
)
from axon.formats import UnreadableError
from axon.history import LOSING_EPOCH
from axon.jobs import Job
from axon.protocol.errors import LOST_MESSAGE
from axon.protocol.objects import response_object
from axon.protocol.output_items.reasoning import ReasoningItem
from axon.protocol.requests import CreateResponse
from axon.protocol.transcript import Transcript
from axon.responses.finisher import FinishedResponse, ResponseFinisher
from axon.responses.usage import logged_usage
from axon.retry import backoff
from axon.serialization import loads

_TRIES = 6
_DERIVED = 2
"""Events at the beginning of a log that follow from the job alone: created, in progress."""

logger = logging.getLogger(__name__)

LOST = {
    "code": "server_error",
    "message": LOST_MESSAGE,
}
OVERDUE = {
    "code": "server_error",
    "message": "The response did not finish before its deadline. Please retry.",
}


class ResponseTerminator:
    """Ends responses from outside a worker: cancelled, abandoned, overdue, dead.

    Taking the next epoch fences off whichever worker runs the response; it stops at its next
    append.

    Parameters
    ----------
    event_log : EventLog
        The log of the responses.
    finisher : ResponseFinisher
        Writes the history, then the end.
    kept_ends : KeptEnds | None
        Appends ends again that a failover has lost; None in a process that lives too short for it.
    """

    def __init__(
        self,
        *,
        event_log: EventLog,
        finisher: ResponseFinisher,
        kept_ends: KeptEnds | None = None,
    ) -> None:
        self._log = event_log
        self._finisher = finisher
        self._ends = kept_ends

    async def end(
        self,
        response_id: str,
        status: Status,
        *,
        error: dict[str, str] | None = None,
        reason: str | None = None,
        known: ResponseMeta | None = None,
        job: Job | None = None,
    ) -> None:
        """End a response that has not ended yet with what the log holds of it.

        Parameters
        ----------
        response_id : str
            The response to end.
        status : Status
            The terminal status.
        error : dict[str, str] | None
            The error of a failed response.
        reason : str | None
            Why an incomplete response is.
        known : ResponseMeta | None
            The response's state as the caller has just read it, which spares a round trip.
        job : Job | None
            The response's job, if the caller knows it: a log that is missing is made again from it,
            so that the client, which may have event 0, gets the end.

        Raises
        ------
        UnavailableError
            Others claim it again and again, or the log lacks events at each try.
        """
        for pause in islice(backoff(first_s=0.1, longest_s=1.0), _TRIES):
            # Only at first: what has fenced this off has changed the state, too.
            meta, known = known or await self._log.describe(response_id), None
            if meta is None and job:
                await self._log.restore(_unbegun(job))
                continue  # the restored log is claimed and ended like any other
            if meta is None or not meta.job:
                await self._log.forget(response_id)
                return
            try:
                await self._end(meta, status, error=error, reason=reason)
            except (FencedError, MissingResponseError):
                # It has just ended, was lost, wholly or in part, or a worker or another terminator
                # has claimed it since. Each claim fences off the one before, so two terminators
                # could take turns for ever: the pause is random, and the number of tries bounded.
                await asyncio.sleep(pause)
            else:
                return
        raise UnavailableError(f"{response_id} is claimed, or loses events, again and again")

    async def _end(
        self,
        meta: ResponseMeta,
        status: Status,
        *,
        error: dict[str, str] | None,
        reason: str | None,
    ) -> None:
        job = _job(meta)
        if meta.incomplete and status is not Status.FAILED:
            await await_confirmation(self._log, meta.response_id)
        claim = await self._log.claim(meta.response_id)
        transcript, logged = await self._read(meta, job, claim)
        opening = []
        if job and claim.unsure and claim.next_sequence == 1:
            # Its client may have event 1, which follows from the job. A failure must not take its
            # number.
            opening = [transcript.in_progress()]
        if claim.unsure and status is not Status.FAILED:
            # Its closing events would take numbers that the client may have seen on other events. A
            # failure is one event: where that is not the next one, a relay that is ahead notices.
            received = await confirmed_delivery(self._log, meta.response_id, claim, within_s=0)
            if received is None or received > transcript.next_sequence:
                status, error, reason = Status.FAILED, LOST, None
                transcript.next_sequence = max(received or 0, transcript.next_sequence)
        journal = await self._read_journal(meta.response_id, claim)
        lost = _lost(meta, job, claim=claim, events=logged, journal=journal)
        # The tokens were spent all the same: client and history get their number. Of an answer that
        # is lost, the log may hold fewer than were generated.
        tokens = len(transcript.token_ids)
        usage = None if error is LOST else logged_usage(journal, logged_tokens=tokens)
        if usage and len(transcript.items) == 1 and isinstance(transcript.open_item, ReasoningItem):
            usage = replace(usage, reasoning_tokens=tokens)  # nothing but reasoning came so far
        # What a client cancels or may continue, it has seen grow: it gets the item's end, too.
        events = opening if status is Status.FAILED else [*opening, *transcript.cut_short()]
        events.append(transcript.end(status, error=error, reason=reason, usage=usage))
        append = partial(self._append, lost, claim=claim, status=status)
        if job is None:
            # No record and no turn can be made of it. Its client gets the event all the same.
            await append(events)
            return
        await self._finisher.finish(
            FinishedResponse(
                job=job,
                response=transcript.response,
                outline=transcript.outline,
                forks=claim.forks,
                event=events[-1],
                # A record made from less than the client has seen must not replace a complete one.
                epoch=LOSING_EPOCH if claim.unsure and status is Status.FAILED else claim.epoch,
                status=status,
            ),
            append=lambda event: append([*events[:-1], event]),
            # Nothing continues a failed response: its event matters more than its record.
            history_required=status is not Status.FAILED,
        )

    async def _read(
        self, meta: ResponseMeta, job: Job | None, claim: Claim
    ) -> tuple[Transcript, list[LoggedEvent]]:
        """Return the transcript of the response's events so far, and these.

        Raises
        ------
        MissingResponseError
            Events were lost since the claim.
        """
        if job and claim.next_sequence <= _DERIVED:
            # The first two follow from the job. When thousands that wait expire at once, this
            # spares each a round trip.
            logged = job.transcript().first_events()[: claim.next_sequence]
        else:
            logged = await self._log.read(meta.response_id)
        if len(logged) != claim.next_sequence:
            # A history record made from less would contradict the client.
            raise MissingResponseError(f"{meta.response_id} lacks events")
        return _transcript(meta.response_id, job, logged), logged

    async def _read_journal(self, response_id: str, claim: Claim) -> list[JournalRecord]:
        """Return the response's journal.

        Raises
        ------
        MissingResponseError
            Records were lost since the claim.
        """
        journal = await self._log.read_journal(response_id) if claim.next_record else []
        if len(journal) < claim.next_record:
            raise MissingResponseError(f"{response_id} lacks journal records")  # with its usage
        return journal

    async def _append(
        self,
        lost: LostResponse,
        events: list[LoggedEvent],
        *,
        claim: Claim,
        status: Status,
    ) -> None:
        """Append the closing events, and keep them for a failover that loses them."""
        write = partial(self._write, lost, events, claim=claim, status=status)
        generation = self._log.generation
        await write()
        if self._ends is not None:
            self._ends.keep(
                lost.response_id,
                partial(self._write_again, lost, write, claim=claim),
                generation=generation,
            )

    async def _write_again(
        self, lost: LostResponse, write: Callable[[], Awaitable[None]], *, claim: Claim
    ) -> None:
        try:
            await write()
        except LostClaimError:
            # The failover has lost the claim with the end, and nobody has claimed since.
            await self._log.reclaim(lost.response_id, claim)
            await write()

    async def _write(
        self,
        lost: LostResponse,
        events: list[LoggedEvent],
        *,
        claim: Claim,
        status: Status,
    ) -> None:
        """Append the closing events; make the log again if it was lost since it was read."""
        append = partial(
            self._log.append,
            lost.response_id,
            epoch=claim.epoch,
            events=events,
            status=status,
            nonce=claim.nonce,
            predecessor=claim.predecessor,
        )
        try:
            await append()
        except MissingResponseError:
            # The history has this end already, so the client must get the same one.
            await self._log.restore(lost)
            await append()


def _lost(
    meta: ResponseMeta,
    job: Job | None,
    *,
    claim: Claim,
    events: list[LoggedEvent],
    journal: list[JournalRecord],
) -> LostResponse:
    """Return the log as it was claimed, to make it again if it is lost before its end is appended.

    This process may die between the two: so the log keeps its deadline and its usage, and counts as
    incomplete until the end is appended, because the history may have that already.
    """
    return LostResponse(
        response_id=meta.response_id,
        tenant_id=meta.tenant_id,
        key_id=meta.key_id,
        connection_id=meta.connection_id,
        job=meta.job,
        age_ms=now_ms() - job.created_ms if job else 0,
        model=job.model if job else "",
        epoch=claim.epoch,
        nonce=claim.nonce,
        events=events,
        journal=journal,
        status=Status.IN_PROGRESS,
        complete=False,
        position=meta.position,
        forks=claim.forks,
    )


def _unbegun(job: Job) -> LostResponse:
    """Return the log of a response that waits, as its job alone makes it.

    It counts as incomplete: the queue may have accepted the job all the same, and a worker begun.
    """
    return LostResponse(
        response_id=job.response_id,
        tenant_id=job.tenant_id,
        key_id=job.key_id,
        connection_id=job.connection_id,
        job=job.encode(),
        age_ms=now_ms() - job.created_ms,
        model=job.model,
        epoch=0,
        events=[job.transcript().created()],
        status=Status.QUEUED,
        complete=False,
        position=LanePosition(job.lane),
    )


def _job(meta: ResponseMeta) -> Job | None:
    """Return a response's job; None if only a newer version can read it."""
    try:
        return Job.decode(meta.job)
    except UnreadableError as error:
        logger.error("%s ends unrecorded: %s", meta.response_id, error)  # noqa: TRY400
        return None


def _transcript(response_id: str, job: Job | None, logged: list[LoggedEvent]) -> Transcript:
    """Return the transcript of a log's events.

    If they cannot be read, the end names nothing but the response: its client must not wait for
    ever, and a sweep must not meet it again and again.
    """
    try:
        transcript = job.transcript() if job else _created(logged[0])
        transcript.replay(logged)
    except (ValueError, LookupError, TypeError):
        # Without the fault's own text, which may quote what a client has sent.
        logger.error("%s ends bare: its events cannot be read", response_id)  # noqa: TRY400
        request = CreateResponse(model="unknown")
        transcript = Transcript(
            response_object(request, response_id=response_id, created_at=now_ms() // 1000)
        )
        transcript.next_sequence = len(logged)
    return transcript


def _created(created: LoggedEvent) -> Transcript:
    """Return a fresh transcript from event 0, which has the response as it was created."""
    event = loads(created.data)
    return Transcript(event["response"], stream_id=event.get("stream_id"))


def unknown_response(response_id: str) -> RequestError:
    """Return the refusal of an id that the tenant has no response of."""
    return RequestError(
        f"Response with id '{response_id[:64]}' not found.",
        code="response_not_found",
        param="response_id",
        status=404,
    )
