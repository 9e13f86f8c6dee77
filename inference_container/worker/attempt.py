"""One attempt at a job: claim it, generate, append, and end it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from axon.clock import now_ms
from axon.conversations import Conversations, Turn
from axon.endings import ResponseEnder
from axon.event_log import EventLog, LoggedEvent, Status
from axon.exceptions import RequestError
from axon.history import HistoryRecord, HistorySender, version_of
from axon.jobs import Job
from axon.protocol.objects import Json, Usage
from axon.protocol.transcript import Transcript
from axon.tracing import Tracing
from worker.engines.protocol import (
    ContextOverflowError,
    Engine,
    EngineDeadError,
    EngineError,
    FinishReason,
    GenerateRequest,
    RefusedError,
)
from worker.logbook import EndedError, Logbook
from worker.metrics import WorkerMetrics
from worker.patience import Patience
from worker.pipeline.assemble import assemble
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.retrieve import retrieve
from worker.pipeline.stream import Coalescer
from worker.shutdown import Shutdown

LOGGER = logging.getLogger(__name__)

ENGINE_FAILED = "The model failed to answer. Please retry."


class HandedOverError(Exception):
    """The worker ends; another one goes on from what was appended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What attempts share; a job that is older than `deadline_s` is not worth one."""

    event_log: EventLog
    conversations: Conversations
    history: HistorySender
    ender: ResponseEnder
    engine: Engine
    flush_policy: FlushPolicy
    metrics: WorkerMetrics
    tracing: Tracing
    shutdown: Shutdown
    deadline_s: float
    clock_ms: Callable[[], int] = now_ms

    def overdue(self, job: Job) -> bool:
        """Whether the job's deadline has passed."""
        return self.clock_ms() >= job.deadline_ms(self.deadline_s)

    def patience(self, job: Job) -> Patience:
        """Return what the job's attempts have with services that are away."""
        return Patience(
            exhausted=self.shutdown.draining,
            until_ms=job.deadline_ms(self.deadline_s),
            clock_ms=self.clock_ms,
        )

    def logbook(self, job: Job, *, message_id: str) -> Logbook:
        """Return an attempt's side of the job's event log."""
        return Logbook(
            job=job,
            message_id=message_id,
            log=self.event_log,
            deadline_ms=job.deadline_ms(self.deadline_s),
            patience=self.patience(job),
            clock_ms=self.clock_ms,
        )

    async def keep(self, job: Job, response: Json, *, epoch: int, last: LoggedEvent) -> None:
        """Send a response that has ended to the history, if it is to be stored."""
        if not job.stored:
            return
        record = HistoryRecord.of(
            job,
            response=response,
            version=version_of(epoch=epoch, sequence_number=last.sequence_number),
            ended_ms=self.clock_ms(),
        )
        await self.patience(job).insist(lambda: self.history.send(record))


async def attempt(
    job: Job, services: Services, *, untouched: bool = False, message_id: str = ""
) -> Status:
    """Answer a job, from where an earlier attempt left it; return how the response ended.

    `untouched`: no worker had the job before, so that its log begins anew if Valkey has lost it.

    Raises
    ------
    FencedError : the response has ended (`EndedError`), or belongs to a newer attempt.
    MissingResponseError : Valkey has lost what somebody may have been told.
    HandedOverError, EngineDeadError : the worker, or its engine, cannot go on; another can.
    UnavailableError : a service was away until the deadline, or the worker drains.
    """
    logbook = services.logbook(job, message_id=message_id)
    transcript = await logbook.claim(untouched=untouched)
    services.tracing.annotate(epoch=logbook.epoch)
    answer = _Answer(job=job, transcript=transcript, logbook=logbook, services=services)
    try:
        return await answer.give()
    except EndedError:
        raise
    except BaseException:  # another attempt follows
        services.metrics.regenerated(answer.unlogged, model=job.model)
        raise


class _Answer:
    def __init__(
        self, *, job: Job, transcript: Transcript, logbook: Logbook, services: Services
    ) -> None:
        self._job = job
        self._transcript = transcript
        self._logbook = logbook
        self._services = services
        self._insist = services.patience(job).insist
        self._turns: list[Turn] = []
        self._received: Callable[[], int] = lambda: 0
        self._logged = 0

    @property
    def unlogged(self) -> int:
        """Tokens that the engine has made but the log has not got."""
        return self._received() - self._logged

    async def give(self) -> Status:
        try:
            return await self._generate()
        except EngineDeadError:
            raise
        except (ContextOverflowError, RequestError) as error:
            return await self._fail("invalid_prompt", str(error))
        except RefusedError as error:
            return await self._fail("server_error", str(error))
        except EngineError:
            LOGGER.exception("%s has failed", self._job.response_id)
            return await self._fail("server_error", ENGINE_FAILED)

    async def _generate(self) -> Status:
        tracing = self._services.tracing
        with tracing.span("assemble"):
            self._turns = await self._insist(
                lambda: retrieve(self._job, self._services.conversations)
            )
            request = await self._request(self._turns)
        if (status := self._transcript.message_status) is None:
            with tracing.span("generate"):
                finish_reason = await self._stream(request)
        else:  # an earlier attempt generated all of it
            finish_reason = "stop" if status == "completed" else "length"
        usage = Usage(
            input_tokens=len(request.prompt.token_ids),
            output_tokens=len(self._transcript.token_ids),
        )
        return await self._finish(finish_reason, usage)

    async def _stream(self, request: GenerateRequest) -> FinishReason:
        self._count("input", len(request.prompt.token_ids))
        chunks = self._services.engine.generate(request)
        coalescer = Coalescer(chunks, policy=self._services.flush_policy)
        self._received = lambda: coalescer.received
        finish_reason: FinishReason | None = None
        handing_over = self._services.shutdown.handing_over
        async with _stopped_by(handing_over, coalescer), aclosing(coalescer.flushes()) as flushes:
            async for flush in flushes:
                first = not self._transcript.text
                events = self._transcript.delta(flush.text, flush.token_ids)
                finish_reason = flush.finish_reason
                if finish_reason:
                    events += self._transcript.close_message(complete=finish_reason == "stop")
                await self._logbook.append(events)
                self._logged += len(flush.token_ids)
                self._count("output", len(flush.token_ids))
                if first and flush.text:
                    self._note_first_token()
        if finish_reason is not None:
            return finish_reason
        if coalescer.stopped:
            raise HandedOverError
        raise EngineError("The engine ended the answer before its end.")

    def _count(self, kind: Literal["input", "output"], tokens: int) -> None:
        self._services.metrics.tokens(kind, tokens, model=self._job.model)

    def _note_first_token(self) -> None:
        seconds = (self._services.clock_ms() - self._job.created_ms) / 1000
        self._services.metrics.first_token(seconds)
        self._services.tracing.annotate(first_token_s=seconds)

    async def _fail(self, code: str, message: str) -> Status:
        if self._turns:  # a failed continuation takes an unstored parent with it
            parent = self._turns[-1]
            await self._insist(lambda: self._services.conversations.evict(parent))
        error = {"code": code, "message": message}
        return await self._end(self._transcript.end(Status.FAILED, error=error), Status.FAILED)

    async def _request(self, turns: list[Turn]) -> GenerateRequest:
        return await assemble(
            self._job,
            turns,
            engine=self._services.engine,
            metrics=self._services.metrics,
            request_id=f"{self._job.response_id}-{self._logbook.epoch}",
            generated_token_ids=tuple(self._transcript.token_ids),
        )

    async def _finish(self, reason: FinishReason, usage: Usage) -> Status:
        complete = reason == "stop"
        closing = self._transcript.close_message(complete=complete)
        if closing:  # nothing was generated
            await self._logbook.append(closing)
        if complete:
            event = self._transcript.end(Status.COMPLETED, usage=usage)
            return await self._end(event, Status.COMPLETED)
        event = self._transcript.end(Status.INCOMPLETE, usage=usage, reason="max_output_tokens")
        return await self._end(event, Status.INCOMPLETE)

    async def _end(self, event: LoggedEvent, status: Status) -> Status:
        """Make the answer durable, then say that it has ended; return `status`."""
        job, response = self._job, self._transcript.response
        await self._services.keep(job, response, epoch=self._logbook.epoch, last=event)
        if status is not Status.FAILED:
            turn = Turn.of(job, output=response["output"])
            await self._insist(lambda: self._services.conversations.put(turn))
        await self._logbook.append([event], status=status)
        return status


@asynccontextmanager
async def _stopped_by(event: asyncio.Event, coalescer: Coalescer) -> AsyncGenerator[None, None]:
    async def stop() -> None:
        await event.wait()
        coalescer.stop()

    watching = asyncio.create_task(stop())
    try:
        yield
    finally:
        watching.cancel()
