"""Repeats the last user text, or counts: the engine for tests, demonstrations and load."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from worker.engines.echo_answer import EchoAnswer
from worker.engines.limits import find_model, refuse_format, token_budget
from worker.engines.protocol import (
    ChatMessage,
    EngineDeadError,
    EngineInfo,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
)
from worker.engines.slots import Generation, Slots

ECHO = "echo"

_WINDOW = 32_768

# Tokens in one chunk: few enough that other requests get their turn between two of them.
_BURST = 64
# A timer may fire a little before its time; the token it was set for is due all the same.
_TIMER_SLACK_S = 1e-6


@dataclass(frozen=True, slots=True)
class EchoPace:
    """When tokens are due, in seconds after the start: token k at ``ttft_s + k * token_s``."""

    ttft_s: float = 0.0
    token_s: float = 0.0

    def due_at(self, index: int) -> float:
        """Return the time of the token with this index."""
        return self.ttft_s + index * self.token_s

    def due_by(self, elapsed_s: float) -> int:
        """Return how many tokens are due by then."""
        late_s = elapsed_s - self.ttft_s + _TIMER_SLACK_S
        if late_s < 0:
            return 0
        return int(late_s / self.token_s) + 1 if self.token_s else sys.maxsize


class EchoEngine:
    """Serves one model, a token per word; ``count to N`` answers ``1 2 ... N``.

    ``spell: TEXT`` answers TEXT as it stands, a token per byte of its UTF-8.
    """

    def __init__(self, *, slots: int, pace: EchoPace | None = None, model: str = ECHO) -> None:
        info = ModelInfo(id=model, context_window=_WINDOW, max_output_tokens=_WINDOW)
        self._info = EngineInfo(models=(info,), slots=slots)
        self._slots = Slots(slots)
        self._pace = pace or EchoPace()
        self._serving = False

    async def start(self) -> None:
        """Begin to serve."""
        self._serving = True

    async def close(self) -> None:
        """End what runs with ``EngineDeadError``."""
        self._serving = False
        self._slots.end_all(EngineDeadError("The engine was closed."))

    def info(self) -> EngineInfo:
        """Return the model and the slots."""
        return self._info

    async def abort(self, request_id: str) -> None:
        """End the generation, if there is one."""
        self._slots.end(request_id)

    async def health(self) -> bool:
        """Return whether it was started and not closed."""
        return self._serving

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Take the last user text; the ids only count the words of all messages."""
        find_model(self._info.models, model)
        words = sum(len(message.content.split()) for message in messages)
        texts = (message.content for message in reversed(messages) if message.role == "user")
        return Prompt(token_ids=tuple(range(words)), text=next(texts, ""))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the first word alone, then at each turn those that are due."""
        if not self._serving:
            raise EngineDeadError("The engine does not run.")
        refuse_format(request)
        model = find_model(self._info.models, request.model)
        answer = EchoAnswer(request, budget=token_budget(request, model.context_window))
        generation = Generation(request.request_id, priority=request.priority)
        try:
            await self._slots.enter(generation)
            began = asyncio.get_running_loop().time()
            while due := await self._tokens_due(generation, began, answer.taken):
                if chunk := answer.take(due):
                    yield chunk
                if answer.finished:
                    return
        finally:
            self._slots.leave(generation)

    async def _tokens_due(self, generation: Generation, began: float, taken: int) -> int:
        """Wait until more tokens than those taken are due; return how many, 0 if it was ended."""
        loop = asyncio.get_running_loop()
        if taken:
            await asyncio.sleep(0)
        while generation.goes_on():
            due = self._pace.due_by(loop.time() - began) - taken
            if due > 0:
                return min(due, _BURST) if taken else 1
            await generation.wait(until=began + self._pace.due_at(taken))
        return 0
