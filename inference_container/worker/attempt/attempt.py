"""Attempt: one attempt at a job, from the claim of its epoch to the terminal event."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial

from axon.conversations import Turn
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import LostPayloadError, MissingResponseError
from axon.jobs import PRIORITIES, Job, ReceivedJob
from axon.protocol.objects import Usage
from axon.protocol.tools import offered_tools
from axon.responses.finisher import FinishedResponse
from axon.responses.usage import logged_usage
from axon.retry import RetryPolicy
from worker.attempt.budget import Progress
from worker.attempt.context import AttemptContext
from worker.attempt.endings import ResponseFailure, ending_of
from worker.attempt.fence_watch import FenceNoticedError
from worker.attempt.item_output import ItemOutput, logged_format
from worker.attempt.output import Output, OutputScope
from worker.attempt.retry_policy import ShedError
from worker.claimers import EndedError
from worker.engines.protocol import BusyError, FinishReason, GenerateRequest
from worker.outcome import COMPLETED, AttemptResult
from worker.parsers.answer_format import AnswerFormat
from worker.pipeline.assemble import assemble, count
from worker.pipeline.infer import Inference
from worker.pipeline.retrieve import retrieve
from worker.pipeline.stage import StageFullError

_CONTINUED_PRIORITY = max(PRIORITIES.values()) + 1
"""Priority of an answer that an earlier attempt has begun: its client watches it stand still."""


class Attempt:
    """One attempt at a job.

    It claims an epoch, continues from what earlier attempts have logged, and passes the stages:
    retrieve, assemble, infer, and for each flush of tokens post and stream. Then it finishes the
    response. Only one epoch is valid at a time, so a newer attempt or a terminator ends this one
    at its next append.

    Parameters
    ----------
    job : Job
        The job to run.
    received : ReceivedJob
        The message that carried it.
    context : AttemptContext
        What attempts share.
    """

    def __init__(self, job: Job, received: ReceivedJob, *, context: AttemptContext) -> None:
        self._job = job
        self._received = received
        self._context = context
        self._stages = context.stages
        self._event_writer = context.event_writer(job, received)
        self._transcript = job.transcript()
        self._priority = job.priority
        self._turns: list[Turn] = []
        self._request: GenerateRequest | None = None
        self._inference: Inference | None = None
        self._output: Output | None = None

    @property
    def _begun(self) -> bool:
        """True once the response has output."""
        return bool(self._transcript.token_ids)

    @property
    def _retry(self) -> RetryPolicy:
        return self._context.retry_policy(begun=self._begun)

    async def run(self) -> AttemptResult:
        """Answer the job from where an earlier attempt left it; return how the attempt ended.

        A response that fails is ended here, too: see `worker.attempt.endings.ENDINGS`.

        Raises
        ------
        FencedError
            The response has ended (`EndedError`), or belongs to a newer attempt.
        MissingResponseError
            Valkey has lost events that the client may have received.
        HandedOverError, EngineDeadError
            The worker or its engine ends; another worker can continue.
        UnloadedError
            The model has left this worker or is replaced; another attempt can continue.
        UnavailableError
            A service was unavailable until the deadline, or until the worker drained.
        StageFullError
            The worker has no room for the job; a later attempt may find some.
        """
        await self._claim()
        with self._counting_unlogged_tokens():
            return await self._answer_unless_fenced()

    async def _answer_unless_fenced(self) -> AttemptResult:
        """Answer until a terminator or a newer attempt has claimed the response.

        By then nothing inside is left: the engine's slot is free while this asks who it was.
        """
        try:
            async with self._context.fence_watch.guard(
                self._job.response_id,
                fenced=lambda fence: fence.refuses(self._event_writer.claimed),
                heard_at=lambda: self._output.appended_at if self._output else float("-inf"),
            ):
                return await self._answer_or_fail()
        except FenceNoticedError as error:
            raise await self._retry.run(partial(self._event_writer.fenced_by, error)) from error

    async def _answer_or_fail(self) -> AttemptResult:
        """Spend an attempt of the response's budget; end the response if it fails."""
        budget, claim = self._context.budget, self._event_writer.claimed
        name, retry = self._job.response_id, self._retry
        try:
            with self._shedding_when_last():
                async with budget.spend(name, claim, retry=retry) as progress:
                    return await self._answer(progress)
        except Exception as error:
            return await self._fail(error)

    async def _claim(self) -> None:
        # Only the first receiver of the only message may make a lost log again: it knows that no
        # event was delivered.
        self._transcript = await self._event_writer.claim(
            untouched=self._received.receive_count == 1
        )
        self._context.tracing.annotate(epoch=self._event_writer.epoch)
        if self._event_writer.unconfirmed and await self._context.ended_in_history(self._job):
            # Its end is lost, and its followers have it: another answer would replace the stored
            # one.
            raise MissingResponseError(f"{self._job.response_id} has ended, and lost its end")
        if self._begun:
            self._priority = _CONTINUED_PRIORITY

    async def _answer(self, progress: Progress) -> AttemptResult:
        tracing = self._context.tracing
        with tracing.span("assemble"):
            self._turns = await self._retry.run(self._retrieve)
            if self._job.count_only:
                return await self._count()
            request = self._request = await self._assemble()
        output = self._output = self._open_output(request, progress)
        if (finish_reason := output.generated) is None:
            with tracing.span("generate"):
                finish_reason = await output.resume()
                if finish_reason is None:
                    # Without a slot: what takes the engine's time for one takes nobody's place.
                    await self._context.engine.prepare(output.request)
                    finish_reason = await self._infer(output)
        await self._finish(finish_reason, output)
        return COMPLETED

    async def _retrieve(self) -> list[Turn]:
        # Retried from outside the slot, which is free for others while a service is unavailable.
        async with self._stages.retrieve.slot(self._priority):
            return await retrieve(self._job, self._context.conversations)

    async def _count(self) -> AttemptResult:
        """End the response with the tokens of its prompt; no engine's slot is taken."""
        async with self._loaded() as (job, turns), self._stages.assemble.slot(self._priority):
            tokens = await count(job, turns, engine=self._context.engine)
        usage = Usage(input_tokens=tokens)
        await self._end(self._transcript.end(Status.COMPLETED, usage=usage), Status.COMPLETED)
        return COMPLETED

    @asynccontextmanager
    async def _loaded(self) -> AsyncGenerator[tuple[Job, list[Turn]]]:
        """Give the job and its turns with large inputs, which are held only in the context."""
        context, job, turns = self._context, self._job, self._turns
        async with context.inputs.room(job, *turns, within_s=None):
            yield await self._retry.run(lambda: context.loaded(job, turns))

    async def _assemble(self) -> GenerateRequest:
        async with self._loaded() as (job, turns), self._stages.assemble.slot(self._priority):
            return await assemble(
                job,
                turns,
                engine=self._context.engine,
                metrics=self._context.metrics,
                request_id=f"{self._job.response_id}-{self._event_writer.epoch}",
                generated_token_ids=tuple(self._transcript.token_ids),
            )

    def _open_output(self, request: GenerateRequest, progress: Progress) -> Output:
        scope = OutputScope(
            job=self._job,
            transcript=self._transcript,
            event_writer=self._event_writer,
            context=self._context,
            priority=self._priority,
            progress=progress,
        )
        form = logged_format(self._event_writer.journal)
        if form is None and not self._transcript.items:
            form = self._format(request)
        if form is None:
            return Output(request, scope)
        return ItemOutput(request, scope, form=form)

    def _format(self, request: GenerateRequest) -> AnswerFormat | None:
        """Return the format in which the answer is to be read; None if it is text alone."""
        response = self._job.response
        models = self._context.engine.info().models
        model = next((each for each in models if each.id == request.model), None)
        calls = bool(offered_tools(response))
        return AnswerFormat.of(model, request.prompt, calls=calls) if model else None

    async def _infer(self, output: Output) -> FinishReason:
        inference = self._inference = Inference(
            output.request,
            engine=self._context.engine,
            stage=self._stages.infer,
            priority=self._priority,
            policy=self._context.flush_policy.at_most(self._job.flush_ms),
            shutdown=self._context.shutdown,
            metrics=self._context.metrics,
            engine_hangs=self._context.engine_hangs,
        )
        finish_reason: FinishReason = "stop"
        async with aclosing(inference.flushes()) as flushes:
            async for generated in flushes:
                if reason := await output.write(generated):
                    finish_reason = reason
                    if not generated.finish_reason:
                        break  # cut: the engine would go on with what no message carries
        return finish_reason

    def _spent_usage(self, *, read: bool) -> Usage | None:
        """Return what the response has used; None if nothing, or if it is not known.

        Parameters
        ----------
        read : bool
            The engine has read the prompt.
        """
        tokens = len(self._transcript.token_ids)
        logged = logged_usage(self._event_writer.journal, logged_tokens=tokens)
        output = self._output
        if usage := (output.usage if output else None) or logged:
            reasoning = max(usage.reasoning_tokens, output.reasoning_tokens if output else 0)
            return replace(usage, reasoning_tokens=reasoning)
        if not (read or tokens) or self._request is None or self._request.prompt.estimated:
            return None
        # Nothing was flushed, or an earlier version of the worker did without the record.
        return Usage(input_tokens=len(self._request.prompt.token_ids), output_tokens=tokens)

    async def _finish(self, reason: FinishReason, output: Output) -> None:
        complete, usage = reason == "stop", self._spent_usage(read=True)
        if closing := output.close(complete=complete):
            await self._event_writer.append(closing)
        if complete:
            event = self._transcript.end(Status.COMPLETED, usage=usage)
            await self._end(event, Status.COMPLETED)
        else:
            event = self._transcript.end(Status.INCOMPLETE, usage=usage, reason="max_output_tokens")
            await self._end(event, Status.INCOMPLETE)

    async def _fail(self, error: Exception) -> AttemptResult:
        """End the response with the failure that belongs to an error; raise an error without."""
        ending = ending_of(error)
        if not isinstance(ending.client, ResponseFailure):
            raise error
        ending.log(self._job.response_id, error)
        if isinstance(error, LostPayloadError):
            self._context.metrics.input_lost()
        read = self._inference is not None and self._inference.begun
        event = self._transcript.end(
            Status.FAILED, error=ending.client.wire(error), usage=self._spent_usage(read=read)
        )
        continued = [] if ending.client.retryable else self._turns
        await self._end(event, Status.FAILED, continued=continued)
        if isinstance(error, ShedError):
            self._context.metrics.turned_away(error.stage, error.reason)
        return ending.result

    async def _end(
        self, event: LoggedEvent, status: Status, *, continued: Sequence[Turn] = ()
    ) -> None:
        finished = FinishedResponse(
            job=self._job,
            response=self._transcript.response,
            outline=self._transcript.outline,
            forks=self._event_writer.claimed.forks,
            event=event,
            epoch=self._event_writer.epoch,
            status=status,
        )
        await self._context.finisher.finish(
            finished,
            append=lambda last: self._append_end(last, status),
            continued=continued,
            retry=self._retry,
        )

    async def _append_end(self, event: LoggedEvent, status: Status) -> None:
        ends = self._context.kept_ends
        generation = self._context.generation()
        await self._event_writer.append([event], status=status)
        if ends is not None:
            writer = self._event_writer
            repeat = partial(writer.repeat_end, status)
            ends.keep(self._job.response_id, repeat, generation=generation)

    @contextmanager
    def _shedding_when_last(self) -> Iterator[None]:
        """Raise `ShedError` for a full stage or a busy engine when no other attempt can follow."""
        try:
            yield
        except (StageFullError, BusyError) as error:
            stage = error.stage if isinstance(error, StageFullError) else self._stages.infer.name
            reason = self._context.no_retry_reason(
                self._job,
                receive_count=self._received.receive_count,
                continued=self._begun,
                wait_s=error.retry_after_s if isinstance(error, BusyError) else None,
            )
            if reason is not None:
                raise ShedError(stage, reason) from error
            self._context.metrics.turned_away(stage, "released")
            raise

    @contextmanager
    def _counting_unlogged_tokens(self) -> Iterator[None]:
        """Count the tokens that another attempt generates again when this one does not end.

        A response that was ended from outside, or shed, gets no other attempt, and a full stage
        has not begun to generate: in both cases nothing is generated again.
        """
        try:
            yield
        except (EndedError, StageFullError, ShedError):
            raise
        except BaseException:
            received = self._inference.received if self._inference else 0
            # Zero counts, too: the time series exists from the first interrupted attempt on, so
            # that an alert on its rate sees the first increase.
            unlogged = received - (self._output.logged_tokens if self._output else 0)
            self._context.metrics.regenerated(unlogged, model=self._job.model)
            raise
