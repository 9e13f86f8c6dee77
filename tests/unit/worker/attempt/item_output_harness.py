"""An output of items over a log in memory, which can be cut anywhere, as a death leaves it."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from axon.event_log.log import JournalRecord, LoggedEvent
from axon.jobs import Job
from axon.serialization import loads
from tests.unit.worker.attempt.attempt_harness import AttemptHarness
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.budget import Unlimited
from worker.attempt.context import AttemptContext
from worker.attempt.item_output import ItemOutput, logged_format
from worker.attempt.output import OutputScope
from worker.engines.protocol import FinishReason, GenerateRequest, Prompt, Sampling
from worker.parsers.answer_format import AnswerFormat
from worker.pipeline.stream import Flush

PROMPT = Prompt(token_ids=(1, 2, 3), text="")


class MemoryLog:
    """The appends of an attempt's `EventWriter`, one batch each."""

    def __init__(
        self, events: Sequence[LoggedEvent] = (), journal: Sequence[JournalRecord] = ()
    ) -> None:
        self.events = list(events)
        self.journal = list(journal)
        self.borders: list[int] = []
        """Events in the log after each batch."""

    async def append(
        self,
        events: Sequence[LoggedEvent],
        *,
        records: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        after = len(self.events) - 1
        self.journal += [
            JournalRecord(number=len(self.journal) + n, after=after, kind=kind, data=data)
            for n, (kind, data) in enumerate(records)
        ]
        self.events += events
        assert [event.sequence_number for event in self.events] == list(range(len(self.events)))
        self.borders.append(len(self.events))

    def cut(self, count: int, *, with_lost_records: bool) -> "MemoryLog":
        """Return the first events, with the records of whole batches, perhaps also of the next."""
        last = count - 1 if with_lost_records else count - 2
        return MemoryLog(self.events[:count], [r for r in self.journal if r.after <= last])


class ItemHarness:
    """Attempts at one answer, whose tokens have their indices as ids."""

    def __init__(
        self,
        job: Job,
        form: AnswerFormat,
        tokens: Sequence[str],
        *,
        stop: Sequence[str] = (),
        finish: FinishReason = "stop",
        context: AttemptContext | None = None,
    ) -> None:
        self.job = job
        self.form = form
        self.tokens = list(tokens)
        self._stop = tuple(stop)
        self._finish: FinishReason = finish
        self.pause_s = 0.0
        self._context = context or AttemptHarness().context(ScriptedEngine())

    def log(self) -> MemoryLog:
        return MemoryLog(self.job.transcript().first_events())

    async def run(self, log: MemoryLog, sizes: Iterator[int] | Sequence[int]) -> ItemOutput:
        """Answer from where the log ends, in flushes of these numbers of tokens."""
        transcript = self.job.transcript()
        transcript.replay(log.events)
        request = GenerateRequest(
            request_id="r",
            model="echo",
            prompt=PROMPT,
            sampling=Sampling(max_tokens=1000, stop=self._stop),
            generated_token_ids=tuple(transcript.token_ids),
        )
        async with Unlimited().spend("", None, retry=None) as progress:  # type: ignore[arg-type]
            scope = OutputScope(
                job=self.job,
                transcript=transcript,
                event_writer=log,  # type: ignore[arg-type]
                context=self._context,
                priority=0,
                progress=progress,
            )
            form = logged_format(log.journal) or self.form
            output = ItemOutput(request, scope, form=form)
            if output.generated or await output.resume():
                return output
            for flush in self._flushes(len(transcript.token_ids), iter(sizes)):
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)
                if await output.write(flush):
                    return output
        raise AssertionError("the answer has no end")

    def _flushes(self, start: int, sizes: Iterator[int]) -> Iterator[Flush]:
        while start < len(self.tokens):
            end = min(start + next(sizes), len(self.tokens))
            taken = self.tokens[start:end]
            ids, lengths = tuple(range(start, end)), tuple(map(len, taken))
            yield Flush("".join(taken), ids, None, lengths=lengths)
            start = end
        yield Flush("", (), self._finish)


def shown(log: MemoryLog) -> list[dict[str, Any]]:
    """Return the items that have ended in a log, and what the deltas of each add up to."""
    items: dict[int, dict[str, Any]] = {}
    deltas: dict[int, str] = {}
    for event in log.events:
        fields = loads(event.data)
        index = fields.get("output_index")
        if fields["type"].endswith(".delta"):
            deltas[index] = deltas.get(index, "") + fields["delta"]
        if fields["type"] == "response.output_item.done":
            items[index] = fields["item"]
    for index, item in items.items():
        content = "".join(part["text"] for part in item.get("content", ()))
        assert item.get("arguments", item.get("input", content)) == deltas.get(index, "")
    return [items[index] for index in sorted(items)]
