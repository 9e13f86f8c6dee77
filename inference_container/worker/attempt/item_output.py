"""ItemOutput: the output of an answer that may have reasoning and calls beside its text."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from typing_extensions import override

from axon.event_log.log import JournalRecord, LoggedEvent
from axon.protocol.objects import Usage
from axon.protocol.tools import offered_tools
from axon.responses.usage import USAGE, input_record, logged_usage, report_record
from axon.serialization import dumps, loads
from worker.attempt.output import Output, OutputScope
from worker.engines.protocol import EngineError, FinishReason, GenerateRequest
from worker.parsers.answer_format import AnswerFormat
from worker.parsers.pieces import Piece, Text
from worker.parsers.reader import AnswerReader
from worker.pipeline.items import AnswerItems
from worker.pipeline.raw_text import RawText, logged_text, needs_record
from worker.pipeline.stream import Flush

FORMAT = "answer_format"
"""Kind of the journal record with which each attempt begins to write items."""
_GENERATED = "generated"
"""Kind of the record of the generation's end, with the number of the last event of its output."""
_HELD = "held"
"""Kind of the record that shows that an answer grows, though nothing of it can be shown yet."""
_HELD_S = 15.0
"""Seconds without an event after which such a record is written: without any append, a response
would soon count as one that stands still (docs/deadlines.md)."""


class ItemOutput(Output):
    """An output whose answer is parsed.

    Text that the parser keeps back makes no event, and its token ids wait for the next one: an
    attempt that dies before generates them again. A new attempt gives the raw text of all logged
    ids to a new parser and has its state, whatever engine continues the answer.

    Parameters
    ----------
    request, scope : GenerateRequest, OutputScope
        As of `Output`.
    form : AnswerFormat
        How the model writes calls and reasoning.
    """

    def __init__(self, request: GenerateRequest, scope: OutputScope, *, form: AnswerFormat) -> None:
        super().__init__(request, scope)
        response = self._job.response
        tools = offered_tools(response)
        self._form = form
        tools = offered_tools(response)
        self._reader = AnswerReader(
            form.parser(tools),
            stop=self.request.sampling.stop,
            most_calls=response["max_tool_calls"] if response["parallel_tool_calls"] else 1,
        )
        self._items = AnswerItems(self._transcript, tools)
        self._text: list[str] = []
        self._lengths: list[int] = []
        self._tokens = 0
        self._began = False
        self._began_at = asyncio.get_running_loop().time()
        self._recorded_reasoning = 0
        # The client's stop strings end its text, not what the model writes around it.
        self.request = replace(
            self.request, parsed=True, sampling=replace(self.request.sampling, stop=())
        )

    @property
    @override
    def reasoning_tokens(self) -> int:
        return self._reader.reasoning_tokens

    @property
    @override
    def generated(self) -> FinishReason | None:
        return _logged_end(self._event_writer.journal, self._event_writer.events)

    @override
    async def resume(self) -> FinishReason | None:
        if not self._transcript.items:
            return None
        pieces: list[Piece] = []
        try:
            for raw in logged_text(self._event_writer.events, self._event_writer.journal):
                pieces += self._reader.read(*raw)
        except LookupError as error:
            raise EngineError(f"{self._job.response_id} has lost text of its answer") from error
        events = self._items.repeat(await self._posted(pieces))
        reason = self._reason(None)
        if events or reason:
            await self._append(events, Flush("", (), reason))
        return reason

    @override
    async def write(self, generated: Flush) -> FinishReason | None:
        self._text.append(generated.text)
        self._lengths += generated.lengths
        self._tokens += len(generated.token_ids)
        if self._job.early_usage:
            self._transcript.early_usage = self._input_usage(generated)
        pieces = self._reader.read(generated.text, generated.lengths)
        if generated.finish_reason:
            pieces += self._reader.end()
        first = not self._transcript.items
        events = self._items.add(await self._posted(pieces), generated.token_ids)
        self._context.metrics.tokens("output", len(generated.token_ids), model=self._job.model)
        reason = self._reason(generated.finish_reason)
        flush = replace(generated, finish_reason=reason)
        if reason and not generated.finish_reason:
            tokens = len(self._transcript.token_ids)
            flush = replace(flush, usage=self._cut_usage(generated, tokens=tokens))
        await self._append(events, flush)
        if first and events:
            self._observe_first_token()
        return reason

    @override
    def close(self, *, complete: bool) -> Sequence[LoggedEvent]:
        return []

    def _reason(self, generated: FinishReason | None) -> FinishReason | None:
        if self._items.full:
            return "length"
        return "stop" if self._reader.ended else generated

    async def _posted(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Return the pieces with their text processed."""
        processor = self._context.post_processor
        if processor is None:
            return list(pieces)
        async with self._context.stages.post.slot(self._priority):
            return [
                Text(await processor.process(piece.text)) if isinstance(piece, Text) else piece
                for piece in pieces
            ]

    async def _append(self, events: list[LoggedEvent], flush: Flush) -> None:
        """Append the events of a flush, and those of the answer's end if it has one."""
        reason = flush.finish_reason
        if reason:
            events += self._items.end(reason, None if self._items.full else self._reader.stop)
        records = self._records(events, flush)
        if not events and not reason:
            since = max(self.appended_at, self._began_at)
            if asyncio.get_running_loop().time() - since < _HELD_S:
                return
            records = [(_HELD, b"{}")]
        async with self._context.stages.stream.slot(self._priority):
            await self._event_writer.append(events, records=records)
        if not events:
            self.appended_at = asyncio.get_running_loop().time()
            return
        tokens, self._tokens = self._tokens, 0
        await self._appended(tokens)

    def _records(self, events: list[LoggedEvent], flush: Flush) -> list[tuple[str, bytes]]:
        records: list[tuple[str, bytes]] = []
        if events:
            records += self._text_records(events)
        if flush.finish_reason:
            self.usage = self._total(flush)
            if self.usage is not None:
                records.append((USAGE, report_record(self.usage)))
            last = self._transcript.next_sequence - 1
            records.append((_GENERATED, dumps({"reason": flush.finish_reason, "last": last})))
        elif events:
            records += self._usage_records(flush, self._input_usage(flush))
        return records

    def _text_records(self, events: list[LoggedEvent]) -> list[tuple[str, bytes]]:
        """Return what a later attempt needs to read the text of the events' token ids."""
        raw = RawText("".join(self._text), self._lengths)
        self._text, self._lengths = [], []
        # The first batch has its text in any case: one at the same place may have been lost, and
        # its record not.
        if self._began and not needs_record(raw, events):
            return []
        begun = [] if self._began else [(FORMAT, self._form.record())]
        self._began = True
        return [*begun, raw.record()]

    @override
    def _usage_records(self, flush: Flush, read: Usage | None) -> Sequence[tuple[str, bytes]]:
        tokens = self._reader.reasoning_tokens
        if read is None or self._reader.reasoning or tokens == self._recorded_reasoning:
            return super()._usage_records(flush, read)
        self._recorded_reasoning = tokens
        return [(USAGE, input_record(replace(self._logged_usage or read, reasoning_tokens=tokens)))]

    def _total(self, flush: Flush) -> Usage | None:
        """Return the usage of the whole answer, which ends with this flush."""
        usage = flush.usage or self._logged_usage or self._input_usage(flush)
        if usage is None:
            return None
        if flush.usage is None:
            usage = replace(usage, output_tokens=len(self._transcript.token_ids))
        tokens = max(usage.reasoning_tokens, self._reader.reasoning_tokens)
        return replace(usage, reasoning_tokens=min(tokens, usage.output_tokens))

    @property
    def _logged_usage(self) -> Usage | None:
        return logged_usage(self._event_writer.journal, logged_tokens=0)


def logged_format(journal: Sequence[JournalRecord]) -> AnswerFormat | None:
    """Return the format in which earlier attempts have read the answer; None if in none."""
    data = next((record.data for record in reversed(journal) if record.kind == FORMAT), None)
    return None if data is None else AnswerFormat.read(data)


def _logged_end(
    journal: Sequence[JournalRecord], events: Sequence[LoggedEvent]
) -> FinishReason | None:
    """Return why the generation has ended by the log; None if the log does not have all of it.

    The end's record may outlive its events, as a failover loses them. An attempt that continues
    then leaves a record of its format behind it.
    """
    latest = next((r for r in reversed(journal) if r.kind in (FORMAT, _GENERATED)), None)
    if latest is None or latest.kind == FORMAT:
        return None
    end = loads(latest.data)
    reason: FinishReason = end["reason"]
    return reason if end["last"] < len(events) else None
