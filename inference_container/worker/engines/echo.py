"""Repeats the last user text, or counts: the engine for tests, demonstrations and load."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from worker.engines.limits import find_model, token_budget
from worker.engines.protocol import (
    ChatMessage,
    EngineDeadError,
    EngineInfo,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
)
from worker.engines.slots import Generation, Slots

ECHO_MODEL = ModelInfo(id="echo", context_window=32_768, max_output_tokens=32_768)

# Tokens in one chunk at full speed: few enough that other requests get their turn.
_BURST = 64
_COUNT_TO = re.compile(r"count to (\d{1,9})[.!?]*", re.IGNORECASE)
# A timer may fire a little before its time; the token it was set for is due all the same.
_TIMER_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class EchoPace:
    """When tokens are due, in seconds after the start: token k at ``ttft_s + k * token_s``."""

    ttft_s: float = 0.0
    token_s: float = 0.0

    def due_at(self, index: int) -> float:
        """Return the time of the token with this index."""
        return self.ttft_s + index * self.token_s

    def due_by(self, elapsed_s: float, *, total: int) -> int:
        """Return how many of the tokens are due by then."""
        late_s = elapsed_s - self.ttft_s + _TIMER_SLACK
        if late_s < 0:
            return 0
        return total if not self.token_s else min(total, int(late_s / self.token_s) + 1)


class EchoEngine:
    """Serves the model ``echo``, a token per word; ``count to N`` answers ``1 2 ... N``."""

    def __init__(self, *, slots: int, pace: EchoPace | None = None) -> None:
        self._info = EngineInfo(models=(ECHO_MODEL,), slots=slots)
        self._slots = Slots(slots)
        self._pace = pace or EchoPace()
        self._serving = False

    async def start(self) -> None:
        """Begin to serve."""
        self._serving = True

    async def close(self) -> None:
        """End what runs with ``EngineDeadError``."""
        self._serving = False
        self._slots.end_all(EngineDeadError("the echo engine was closed"))

    def info(self) -> EngineInfo:
        """Return the model and the slots."""
        return self._info

    async def abort(self, request_id: str) -> None:
        """End the generation, if there is one."""
        self._slots.end(request_id)

    async def health(self) -> bool:
        """Return whether it was started and not closed."""
        return self._serving

    def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Take the last user text; the ids only count the words of all messages."""
        find_model(self._info.models, model)
        words = sum(len(message.content.split()) for message in messages)
        texts = (message.content for message in reversed(messages) if message.role == "user")
        return Prompt(token_ids=tuple(range(words)), text=next(texts, ""))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the words that are due, several in a chunk when they are."""
        model = find_model(self._info.models, request.model)
        if not self._serving:
            raise EngineDeadError("the echo engine does not run")
        answer = _answer_to(request.prompt.text)
        start = len(request.generated_token_ids)
        stop = min(len(answer), start + token_budget(request, model.context_window))
        reason: FinishReason = "stop" if stop == len(answer) else "length"
        if start >= stop:
            yield TokenChunk("", (), reason)
            return
        generation = Generation(request.request_id)
        try:
            await self._slots.enter(generation)
            began = asyncio.get_running_loop().time()
            sent = start
            while await self._token_due(generation, began, sent - start):
                end = self._burst_end(began, start, sent, stop)
                yield TokenChunk(
                    _join(answer, sent, end),
                    tuple(range(sent, end)),
                    reason if end == stop else None,
                )
                if end == stop:
                    return
                sent = end
        finally:
            self._slots.leave(generation)

    async def _token_due(self, generation: Generation, began: float, index: int) -> bool:
        """Wait for the token's time and let others run; False if the generation was ended."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        while generation.running and not self._pace.due_by(loop.time() - began, total=index + 1) > index:
            await generation.wait(until=began + self._pace.due_at(index))
        return generation.running

    def _burst_end(self, began: float, start: int, sent: int, stop: int) -> int:
        """Return where the chunk that begins at ``sent`` ends: the first holds one token."""
        if sent == start:
            return sent + 1
        elapsed_s = asyncio.get_running_loop().time() - began
        due = start + self._pace.due_by(elapsed_s, total=stop - start)
        return min(due, sent + _BURST)


def _answer_to(text: str) -> Sequence[object]:
    """Return the words of the answer; counting makes them only as they are sent."""
    count = _COUNT_TO.fullmatch(text.strip())
    return range(1, int(count[1]) + 1) if count else text.split()


def _join(answer: Sequence[object], start: int, end: int) -> str:
    text = " ".join([str(word) for word in answer[start:end]])
    return f" {text}" if start else text
