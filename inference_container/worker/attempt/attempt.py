"""One attempt at a job: claim it, generate, append, and end it."""

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from axon.conversations import Turn
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import RequestError
from axon.jobs import PRIORITIES, Job
from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript
from axon.responses.finisher import FinishedResponse
from worker.attempt.context import AttemptContext
from worker.attempt.retry_policy import OVERLOADED, ShedError
from worker.engines.protocol import (
    ContextOverflowError,
    EngineDeadError,
    EngineError,
    FinishReason,
    GenerateRequest,
    RefusedError,
    UnloadedError,
)
from worker.event_writer import EndedError, EventWriter
from worker.pipeline.assemble import assemble
from worker.pipeline.infer import Inference
from worker.pipeline.post import post
from worker.pipeline.retrieve import retrieve
from worker.pipeline.stage import StageFullError
from worker.pipeline.stream import Flush, stream

LOGGER = logging.getLogger(__name__)

ENGINE_FAILED = "The model failed to answer. Please retry."

_BEGUN = max(PRIORITIES.values()) + 1
"""The priority of an answer that another worker has begun: its client watches it stand still."""


async def attempt(
    job: Job,
    services: AttemptContext,
    *,
    untouched: bool = False,
    message_id: str = "",
    receives: int = 1,
) -> Status:
    """Answer a job, from where an earlier attempt left it; return how the response ended.

    Parameters
    ----------
    untouched : bool
        No worker had the job before, so that its log begins anew if Valkey has lost it.
    receives : int
        How often the job's message was received, this time included.

    Raises
    ------
    FencedError
        The response has ended (`EndedError`), or belongs to a newer attempt.
    MissingResponseError
        Valkey has lost what somebody may have been told.
    HandedOverError, EngineDeadError
        The worker, or its engine, cannot go on; another can.
    UnloadedError
        The model has left this worker, or is replaced; another attempt can go on.
    UnavailableError
        A service was away until the deadline, or the worker drains.
    StageFullError
        The worker has no room for it; a later attempt may find some.
    ShedError
        Nor can a later one; the response has ended and says so.
    """
    event_writer = services.event_writer(job, message_id=message_id)
    transcript = await event_writer.claim(untouched=untouched)
    services.tracing.annotate(epoch=event_writer.epoch)
    answer = _Answer(job=job, transcript=transcript, event_writer=event_writer, services=services)
    try:
        return await answer.give()
    except EndedError:
        raise
    except StageFullError as full:
        reason = services.why_none_follows(job, receives=receives)
        if reason is None:
            raise
        await answer.refuse()
        raise ShedError(full.stage, reason) from full
    except BaseException:  # another attempt follows
        services.metrics.regenerated(answer.unlogged, model=job.model)
        raise


class _Answer:
    def __init__(
        self,
        *,
        job: Job,
        transcript: Transcript,
        event_writer: EventWriter,
        services: AttemptContext,
    ) -> None:
        self._job = job
        self._transcript = transcript
        self._event_writer = event_writer
        self._services = services
        self._stages = services.stages
        self._priority = _BEGUN if transcript.token_ids else job.priority
        self._retry = services.retry_policy(job)
        self._turns: list[Turn] = []
        self._received: Callable[[], int] = lambda: 0
        self._logged = 0
        self._usage: Usage | None = None

    @property
    def unlogged(self) -> int:
        """Tokens that the engine has made but the log has not got."""
        return self._received() - self._logged

    async def give(self) -> Status:
        try:
            return await self._generate()
        except (EngineDeadError, UnloadedError):
            raise
        except (ContextOverflowError, RequestError) as error:
            return await self._fail("invalid_prompt", str(error))
        except RefusedError as error:
            return await self._fail("server_error", str(error))
        except EngineError:
            LOGGER.exception("%s has failed", self._job.response_id)
            return await self._fail("server_error", ENGINE_FAILED)

    async def refuse(self) -> None:
        """End the response; the one that it continues stays, for the client to try again."""
        await self._end(self._transcript.end(Status.FAILED, error=OVERLOADED), Status.FAILED)

    async def _generate(self) -> Status:
        tracing = self._services.tracing
        with tracing.span("assemble"):
            # The slot is free while a service that is away is waited for.
            self._turns = await self._retry.run(self._retrieve)
            request = await self._assemble()
        if (status := self._transcript.message_status) is None:
            with tracing.span("generate"):
                finish_reason = await self._infer(request)
        else:  # an earlier attempt generated all of it
            finish_reason = "stop" if status == "completed" else "length"
        return await self._finish(finish_reason, self._usage or self._counted(request))

    def _counted(self, request: GenerateRequest) -> Usage | None:
        if request.prompt.estimated:
            return None
        return Usage(
            input_tokens=len(request.prompt.token_ids),
            output_tokens=len(self._transcript.token_ids),
        )

    async def _retrieve(self) -> list[Turn]:
        async with self._stages.retrieve.slot(self._priority):
            return await retrieve(self._job, self._services.conversations)

    async def _assemble(self) -> GenerateRequest:
        async with self._stages.assemble.slot(self._priority):
            return await assemble(
                self._job,
                self._turns,
                engine=self._services.engine,
                metrics=self._services.metrics,
                request_id=f"{self._job.response_id}-{self._event_writer.epoch}",
                generated_token_ids=tuple(self._transcript.token_ids),
            )

    async def _infer(self, request: GenerateRequest) -> FinishReason:
        services = self._services
        inference = Inference(
            request,
            engine=services.engine,
            stage=self._stages.infer,
            priority=self._priority,
            policy=services.flush_policy,
            shutdown=services.shutdown,
            metrics=services.metrics,
        )
        self._received = lambda: inference.received
        finish_reason: FinishReason = "stop"
        async with aclosing(inference.flushes()) as flushes:
            async for flush in flushes:
                await self._send(flush)
                finish_reason = flush.finish_reason or finish_reason
                self._usage = flush.usage
        return finish_reason

    async def _send(self, flush: Flush) -> None:
        first = not self._transcript.text
        async with self._stages.post.slot(self._priority):
            flush = await post(flush, self._services.post)
        async with self._stages.stream.slot(self._priority):
            await stream(flush, transcript=self._transcript, event_writer=self._event_writer)
        self._logged += len(flush.token_ids)
        self._services.metrics.tokens("output", len(flush.token_ids), model=self._job.model)
        if first and flush.text:
            self._note_first_token()

    def _note_first_token(self) -> None:
        seconds = (self._services.clock_ms() - self._job.created_ms) / 1000
        self._services.metrics.first_token(seconds)
        self._services.tracing.annotate(first_token_s=seconds)

    async def _fail(self, code: str, message: str) -> Status:
        event = self._transcript.end(Status.FAILED, error={"code": code, "message": message})
        return await self._end(event, Status.FAILED, continued=self._turns)

    async def _finish(self, reason: FinishReason, usage: Usage | None) -> Status:
        complete = reason == "stop"
        closing = self._transcript.close_message(complete=complete)
        if closing:  # nothing was generated
            await self._event_writer.append(closing)
        if complete:
            event = self._transcript.end(Status.COMPLETED, usage=usage)
            return await self._end(event, Status.COMPLETED)
        event = self._transcript.end(Status.INCOMPLETE, usage=usage, reason="max_output_tokens")
        return await self._end(event, Status.INCOMPLETE)

    async def _end(
        self, event: LoggedEvent, status: Status, *, continued: Sequence[Turn] = ()
    ) -> Status:
        """Make the answer durable, then say that it has ended; return `status`."""
        finished = FinishedResponse(
            job=self._job,
            response=self._transcript.response,
            event=event,
            epoch=self._event_writer.epoch,
            status=status,
        )
        await self._services.finisher.finish(
            finished,
            append=lambda: self._event_writer.append([event], status=status),
            continued=continued,
            retry=self._retry,
        )
        return status
