"""Output: an answer's flushes on their way into the event log: post, fit, stream."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from axon.event_log.log import LoggedEvent
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.protocol.transcript import Transcript
from axon.responses.usage import USAGE, input_record, report_record
from worker.attempt.budget import Progress
from worker.attempt.context import AttemptContext
from worker.engines.protocol import FinishReason, GenerateRequest
from worker.event_writer import EventWriter
from worker.pipeline.post import post
from worker.pipeline.stream import Flush, fit, stream


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputScope:
    """The part of an attempt that its output needs.

    Parameters
    ----------
    job : Job
        The job.
    transcript : Transcript
        The response so far.
    event_writer : EventWriter
        The attempt's side of the event log.
    context : AttemptContext
        What attempts share.
    priority : int
        Priority in the stages' queues.
    progress : Progress
        Notified of each flush in the log.
    """

    job: Job
    transcript: Transcript
    event_writer: EventWriter
    context: AttemptContext
    priority: int
    progress: Progress


class Output:
    """The output of an attempt whose answer is text alone: one message.

    Parameters
    ----------
    request : GenerateRequest
        The request to the engine.
    scope : OutputScope
        The part of its attempt that it needs.

    Attributes
    ----------
    request : GenerateRequest
        The request as this output needs it.
    usage : Usage | None
        The usage of the whole answer, if its last flush has told it.
    logged_tokens : int
        Tokens of this attempt that are in the log.
    appended_at : float
        Time of the last append, by the loop's clock (seconds).
    """

    def __init__(self, request: GenerateRequest, scope: OutputScope) -> None:
        self.request = request
        self.usage: Usage | None = None
        self.logged_tokens = 0
        self.appended_at = float("-inf")
        self._job = scope.job
        self._transcript = scope.transcript
        self._event_writer = scope.event_writer
        self._context = scope.context
        self._priority = scope.priority
        self._progress = scope.progress

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the answer's reasoning so far."""
        return 0

    @property
    def generated(self) -> FinishReason | None:
        """Why the generation has ended, if an earlier attempt has logged its end."""
        status = self._transcript.message_status
        if status is None:
            return None
        return "stop" if status == "completed" else "length"

    async def resume(self) -> FinishReason | None:
        """Append what the log lacks of its token ids; return why the answer ends with them."""
        return None

    async def write(self, generated: Flush) -> FinishReason | None:
        """Append a flush; return why the answer ends with it, None if more may follow."""
        flush = self._fit(await self._post(generated))
        first = not self._transcript.text
        read = self._input_usage(flush)
        if self._job.early_usage:
            self._transcript.early_usage = read
        async with self._context.stages.stream.slot(self._priority):
            await stream(
                flush,
                transcript=self._transcript,
                event_writer=self._event_writer,
                records=self._usage_records(flush, read),
            )
        await self._appended(len(flush.token_ids))
        self._context.metrics.tokens("output", len(flush.token_ids), model=self._job.model)
        if first and flush.text:
            self._observe_first_token()
        self.usage = flush.usage
        return flush.finish_reason

    def close(self, *, complete: bool) -> Sequence[LoggedEvent]:
        """Return the events that the end of the generation still lacks."""
        # None, unless no flush has closed the message.
        return self._transcript.close_message(complete=complete)

    async def _appended(self, tokens: int) -> None:
        self.appended_at = asyncio.get_running_loop().time()
        self.logged_tokens += tokens
        await self._progress.made()

    async def _post(self, flush: Flush) -> Flush:
        processor = self._context.post_processor
        if processor is None:
            return flush
        async with self._context.stages.post.slot(self._priority):
            return await post(flush, processor)

    def _fit(self, flush: Flush) -> Flush:
        """Return the flush as the client's messages have room for it."""
        fitting = fit(flush, self._transcript)
        if fitting is flush:
            return flush
        tokens = len(self._transcript.token_ids) + len(flush.token_ids)
        return replace(fitting, usage=self._cut_usage(flush, tokens=tokens))

    def _cut_usage(self, flush: Flush, *, tokens: int) -> Usage | None:
        """Return the usage of an answer that is cut in this flush, with all tokens so far."""
        prompt = self.request.prompt
        if flush.usage or not prompt.estimated:
            return flush.usage
        # The upstream would report its usage at an end that nobody waits for.
        return Usage(len(prompt.token_ids), output_tokens=tokens)

    def _observe_first_token(self) -> None:
        seconds = (self._context.clock_ms() - self._job.created_ms) / 1000
        self._context.metrics.first_token(seconds)
        self._context.tracing.annotate(first_token_s=seconds)

    def _input_usage(self, flush: Flush) -> Usage | None:
        """Return the tokens that the engine has read, as far as a flush tells; None if unknown."""
        if flush.usage is not None:
            return replace(flush.usage, output_tokens=0)
        if self.request.prompt.estimated:
            return None
        read = len(self.request.prompt.token_ids)
        return Usage(input_tokens=read, cached_tokens=flush.cached_tokens or 0)

    def _usage_records(self, flush: Flush, read: Usage | None) -> Sequence[tuple[str, bytes]]:
        """Return the journal record of the usage, if this flush is to bring one.

        With it a terminator can tell what a response has used that it ends from outside.
        """
        if flush.usage is not None:
            return [(USAGE, report_record(flush.usage))]
        recorded = any(record.kind == USAGE for record in self._event_writer.journal)
        return [] if recorded or read is None else [(USAGE, input_record(read))]
