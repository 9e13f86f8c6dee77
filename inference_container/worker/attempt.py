"""One attempt at a job: claim it, generate, append, and end it."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Literal

from axon.conversations import Conversations, Turn
from axon.event_log import EventLog, LoggedEvent, Status
from axon.exceptions import RequestError
from axon.history import HistoryRecord, HistorySender, version_of
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript
from axon.responses import now_ms
from axon.tracing import Tracing
from worker.engines.protocol import (
    ContextOverflowError,
    Engine,
    EngineDeadError,
    EngineError,
    FinishReason,
    GenerateRequest,
    Sampling,
)
from worker.metrics import WorkerMetrics
from worker.pipeline.assemble import assemble
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.retrieve import retrieve
from worker.pipeline.stream import Coalescer


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What attempts share."""

    event_log: EventLog
    conversations: Conversations
    history: HistorySender
    engine: Engine
    flush_policy: FlushPolicy
    metrics: WorkerMetrics
    tracing: Tracing
    clock_ms: Callable[[], int] = now_ms


async def attempt(job: Job, services: Services) -> Status:
    """Answer a job, from where an earlier attempt left it; return how the response ended.

    Raises
    ------
    FencedError, MissingResponseError : the response has ended, or belongs to a newer attempt.
    EngineDeadError : the engine cannot go on; another worker can.
    UnavailableError : a service is away; the job can be tried again.
    """
    transcript, epoch = await _claim(job, services.event_log)
    services.tracing.annotate(epoch=epoch)
    answer = _Answer(job=job, transcript=transcript, epoch=epoch, services=services)
    try:
        return await answer.generate()
    except EngineDeadError:
        raise
    except (ContextOverflowError, RequestError) as error:
        return await answer.fail("invalid_prompt", str(error))
    except EngineError as error:
        return await answer.fail("server_error", str(error))


async def _claim(job: Job, log: EventLog) -> tuple[Transcript, int]:
    transcript = job.transcript()
    transcript.created()
    in_progress = transcript.in_progress()
    claim = await log.claim(job.response_id, in_progress=in_progress.data)
    if claim.next_sequence != transcript.next_sequence:  # an earlier attempt went on from here
        transcript = job.transcript()
        transcript.replay(await log.read(job.response_id))
    return transcript, claim.epoch


class _Answer:
    def __init__(self, *, job: Job, transcript: Transcript, epoch: int, services: Services) -> None:
        self._job = job
        self._transcript = transcript
        self._epoch = epoch
        self._services = services
        self._append = partial(services.event_log.append, job.response_id, epoch=epoch)
        self._turns: list[Turn] = []

    async def generate(self) -> Status:
        tracing = self._services.tracing
        with tracing.span("assemble"):
            self._turns = await retrieve(self._job, self._services.conversations)
            request = self._request(self._turns)
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
        finish_reason: FinishReason | None = None
        async with aclosing(coalescer.flushes()) as flushes:
            async for flush in flushes:
                first = not self._transcript.text
                events = self._transcript.delta(flush.text, flush.token_ids)
                finish_reason = flush.finish_reason
                if finish_reason:
                    events += self._transcript.close_message(complete=finish_reason == "stop")
                await self._append(events=events)
                self._count("output", len(flush.token_ids))
                if first and flush.text:
                    self._note_first_token()
        if finish_reason is None:
            raise EngineError("The engine ended the answer before its end.")
        return finish_reason

    def _count(self, kind: Literal["input", "output"], tokens: int) -> None:
        self._services.metrics.tokens(kind, tokens, model=self._job.model)

    def _note_first_token(self) -> None:
        seconds = (self._services.clock_ms() - self._job.created_ms) / 1000
        self._services.metrics.first_token(seconds)
        self._services.tracing.annotate(first_token_s=seconds)

    async def fail(self, code: str, message: str) -> Status:
        if self._turns:  # a failed continuation takes an unstored parent with it
            await self._services.conversations.evict(self._turns[-1])
        error = {"code": code, "message": message}
        return await self._end(self._transcript.end(Status.FAILED, error=error), Status.FAILED)

    def _request(self, turns: list[Turn]) -> GenerateRequest:
        engine, response = self._services.engine, self._job.response
        model = next((m for m in engine.info().models if m.id == self._job.model), None)
        if model is None:
            raise EngineError(f"This worker does not serve the model '{self._job.model}'.")
        prompt = engine.assemble(model.id, assemble(self._job, turns))
        room = model.context_window - len(prompt.token_ids)
        if room <= 0:
            raise RequestError(
                f"The input has {len(prompt.token_ids)} tokens; the model's context window is "
                f"{model.context_window}. Shorten the input or start a new conversation.",
                code="context_length_exceeded",
                param="input",
            )
        wanted = response["max_output_tokens"] or model.max_output_tokens
        chosen = self._job.sampling
        return GenerateRequest(
            request_id=f"{self._job.response_id}-{self._epoch}",
            model=model.id,
            prompt=prompt,
            sampling=Sampling(
                max_tokens=min(wanted, model.max_output_tokens, room),
                temperature=chosen.get("temperature"),
                top_p=chosen.get("top_p"),
                presence_penalty=chosen.get("presence_penalty"),
                frequency_penalty=chosen.get("frequency_penalty"),
            ),
            generated_token_ids=tuple(self._transcript.token_ids),
        )

    async def _finish(self, reason: FinishReason, usage: Usage) -> Status:
        complete = reason == "stop"
        closing = self._transcript.close_message(complete=complete)
        if closing:  # nothing was generated
            await self._append(events=closing)
        if complete:
            event = self._transcript.end(Status.COMPLETED, usage=usage)
            return await self._end(event, Status.COMPLETED)
        event = self._transcript.end(Status.INCOMPLETE, usage=usage, reason="max_output_tokens")
        return await self._end(event, Status.INCOMPLETE)

    async def _end(self, event: LoggedEvent, status: Status) -> Status:
        """Make the answer durable, then say that it has ended; return `status`."""
        job, response = self._job, self._transcript.response
        if job.stored:
            record = HistoryRecord.of(
                job,
                response=response,
                version=version_of(epoch=self._epoch, sequence_number=event.sequence_number),
                ended_ms=self._services.clock_ms(),
            )
            await self._services.history.send(record)
        if status is not Status.FAILED:
            await self._services.conversations.put(Turn.of(job, output=response["output"]))
        await self._append(events=[event], status=status)
        return status
