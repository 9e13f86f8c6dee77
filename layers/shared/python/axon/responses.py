"""ResponseService: accepts requests, and ends responses that no worker will end."""

import logging
import time

from axon.conversations import Conversations, Turn
from axon.event_log import EventLog, LoggedEvent, NewResponse, Opening, Status
from axon.exceptions import (
    FencedError,
    MissingResponseError,
    RequestError,
    UnavailableError,
)
from axon.history import HistoryRecord, HistorySender, version_of
from axon.ids import is_id, new_id
from axon.jobs import Job, JobSender, new_job
from axon.protocol.items import FunctionCall, FunctionCallOutput
from axon.protocol.objects import Usage, response_object
from axon.protocol.requests import CreateResponse
from axon.workers import Workers

LOGGER = logging.getLogger(__name__)

OVERDUE = {"code": "server_error", "message": "The response did not finish before its deadline."}
UNSENT = {"code": "server_error", "message": "The request could not be queued. Please retry."}


def now_ms() -> int:
    """Return milliseconds of the Unix epoch."""
    return time.time_ns() // 1_000_000


class ResponseEnder:
    """Ends responses from outside a worker: cancelled, abandoned, overdue, dead.

    Taking the next epoch fences off whichever worker runs the response; it stops at its next
    append.
    """

    def __init__(self, *, event_log: EventLog, history: HistorySender) -> None:
        self._log = event_log
        self._history = history

    async def cancel(self, response_id: str, *, tenant_id: str) -> None:
        """Cancel a running response of this tenant; one that has ended stays as it is.

        Raises
        ------
        RequestError : the tenant has no such response.
        """
        meta = await self._log.describe(response_id) if is_id("resp", response_id) else None
        if meta is None or meta.tenant_id != tenant_id:
            raise RequestError(
                f"Response with id '{response_id[:64]}' not found.",
                code="response_not_found",
                param="response_id",
                status=404,
            )
        await self.end(response_id, Status.CANCELLED)

    async def abandon(self, connection_id: str) -> None:
        """Cancel what a connection that is gone was waiting for."""
        for response_id in await self._log.running_for(connection_id):
            await self.end(response_id, Status.CANCELLED)

    async def fail_overdue(self) -> int:
        """Fail responses past their deadline; return how many."""
        overdue = await self._log.overdue()
        for response_id in overdue:
            try:
                await self.end(response_id, Status.FAILED, error=OVERDUE)
            except Exception:  # one that cannot be ended must not keep the others
                LOGGER.exception("%s is overdue and could not be failed", response_id)
        return len(overdue)

    async def end(
        self, response_id: str, status: Status, *, error: dict[str, str] | None = None
    ) -> None:
        """End a response that has not ended yet with what the log holds of it."""
        meta = await self._log.describe(response_id)
        if meta is None or not meta.job:
            await self._log.close_overdue(response_id)
            return
        try:
            await self._end(Job.decode(meta.job), status, error=error)
        except (FencedError, MissingResponseError):
            return  # it has just ended, or someone else is ending it

    async def _end(self, job: Job, status: Status, *, error: dict[str, str] | None) -> None:
        claim = await self._log.claim(job.response_id)
        transcript = job.transcript()
        transcript.replay(await self._log.read(job.response_id))
        events = []
        if status is Status.CANCELLED and transcript.text:
            events = transcript.close_message(complete=False)
        events.append(transcript.end(status, error=error))
        if job.stored:
            record = HistoryRecord.of(
                job,
                response=transcript.response,
                version=version_of(epoch=claim.epoch, sequence_number=events[-1].sequence_number),
                ended_ms=now_ms(),
            )
            await self._write(record, status)
        await self._log.append(job.response_id, epoch=claim.epoch, events=events, status=status)

    async def _write(self, record: HistoryRecord, status: Status) -> None:
        try:
            await self._history.send(record)
        except UnavailableError:
            # Nothing continues a failed response: telling of it matters more than keeping it.
            if status is not Status.FAILED:
                raise


class ResponseService:
    """Accepts requests: validated, entered in the event log, queued; in this order."""

    def __init__(
        self,
        *,
        event_log: EventLog,
        conversations: Conversations,
        jobs: JobSender,
        history: HistorySender,
        ender: ResponseEnder,
        workers: Workers,
    ) -> None:
        self._log = event_log
        self._workers = workers
        self._conversations = conversations
        self._jobs = jobs
        self._history = history
        self._ender = ender

    async def submit(
        self, request: CreateResponse, *, tenant_id: str, connection_id: str
    ) -> str | None:
        """Accept a request; its events go to the connection. Return the response's id.

        None: the connection is gone, so nothing was accepted.

        Raises
        ------
        RequestError : refused; nothing was accepted.
        UnavailableError : no relay is there to answer through; nothing was accepted.
        """
        turns = await self._previous(request, tenant_id=tenant_id, connection_id=connection_id)
        try:
            _check_calls(request, turns)
            job = _job(request, turns, tenant_id=tenant_id, connection_id=connection_id)
            return await (self._queue(job) if request.generate else self._warm_up(job))
        except RequestError:
            if turns:  # a failed continuation takes an unstored parent with it
                await self._conversations.evict(turns[-1])
            raise

    async def _previous(
        self, request: CreateResponse, *, tenant_id: str, connection_id: str
    ) -> list[Turn]:
        previous = request.previous_response_id
        if previous is None:
            return []
        turns = None
        if is_id("resp", previous):  # anything may stand there, and not all of it is safe in a key
            turns = await self._conversations.chain(
                previous, tenant_id=tenant_id, connection_id=connection_id
            )
        if turns is None:
            raise RequestError(
                f"Previous response with id '{previous}' not found.",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        return turns

    async def _queue(self, job: Job) -> str | None:
        opening = await self._open(job, job.transcript().created())
        if opening is Opening.GONE:
            return None
        try:
            await self._jobs.send(job)
        except UnavailableError:
            await self._ender.end(job.response_id, Status.FAILED, error=UNSENT)
            return job.response_id
        if opening is Opening.UNATTENDED:
            await self._workers.wake()
        return job.response_id

    async def _warm_up(self, job: Job) -> str | None:
        """End at once with an empty response, which the next request may continue."""
        transcript = job.transcript()
        if await self._open(job, transcript.created()) is Opening.GONE:
            return None
        in_progress = transcript.in_progress()
        claim = await self._log.claim(job.response_id, in_progress=in_progress.data)
        completed = transcript.end(Status.COMPLETED, usage=Usage())
        if job.stored:
            await self._history.send(
                HistoryRecord.of(
                    job,
                    response=transcript.response,
                    version=version_of(
                        epoch=claim.epoch, sequence_number=completed.sequence_number
                    ),
                    ended_ms=now_ms(),
                )
            )
        await self._conversations.put(Turn.of(job, output=[]))
        await self._log.append(
            job.response_id, epoch=claim.epoch, events=[completed], status=Status.COMPLETED
        )
        return job.response_id

    async def _open(self, job: Job, created: LoggedEvent) -> Opening:
        """Open the log, unless the connection is gone; raise for what else is in the way."""
        response = NewResponse(
            response_id=job.response_id,
            tenant_id=job.tenant_id,
            connection_id=job.connection_id,
            model=job.model,
            job=job.encode(),
            created=created.data,
        )
        match opening := await self._log.open(response):
            case Opening.UNKNOWN_MODEL:
                raise RequestError(
                    f"The model '{job.model}' does not exist or you do not have access to it.",
                    code="model_not_found",
                    param="model",
                    status=404,
                )
            case Opening.NO_RELAY:
                raise UnavailableError("No relay is running to answer through. Please retry.")
        return opening


def _job(request: CreateResponse, turns: list[Turn], *, tenant_id: str, connection_id: str) -> Job:
    created_ms = now_ms()
    response_id = new_id("resp")
    return new_job(
        request,
        response=response_object(request, response_id=response_id, created_at=created_ms // 1000),
        tenant_id=tenant_id,
        connection_id=connection_id,
        conversation_id=turns[-1].conversation_id if turns else new_id("conv"),
        created_ms=created_ms,
    )


def _check_calls(request: CreateResponse, turns: list[Turn]) -> None:
    """Refuse a function's output that answers no call."""
    if isinstance(request.input, str):
        return
    known = {
        item.get("call_id")
        for turn in turns
        for item in (*turn.input, *turn.output)
        if item.get("type") == "function_call"
    }
    for item in request.input:
        if isinstance(item, FunctionCall):
            known.add(item.call_id)
        elif isinstance(item, FunctionCallOutput) and item.call_id not in known:
            raise RequestError(
                f"No tool call found for function call output with call_id {item.call_id}.",
                code="tool_call_not_found",
                param="input",
            )
