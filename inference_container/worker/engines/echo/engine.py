"""Engine that repeats the last user text, or counts: for tests, demonstrations and load."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from typing_extensions import override

from worker.engines.echo.answer import EchoAnswer
from worker.engines.model_formats import FOUND, HERMES, GivenFormats, ModelFormats
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineDeadError,
    EngineInfo,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    ToolSpec,
)
from worker.engines.rendering import texts_of
from worker.engines.request_checks import (
    find_model,
    refuse_format,
    refuse_sampling,
    token_budget,
)
from worker.engines.slots import Generation, Slots

ECHO = "echo"

_WINDOW = 32_768

_MAX_BURST = 64
"""Tokens of one chunk at most, so that other requests run between two chunks."""
_TIMER_SLACK_S = 1e-6
"""A timer may fire a little early; the token that it was set for is due all the same."""


@dataclass(frozen=True, slots=True)
class EchoPace:
    """Times of the tokens in seconds after the start: token k at ``ttft_s + k * token_s``."""

    ttft_s: float = 0.0
    token_s: float = 0.0

    def due_at(self, index: int) -> float:
        """Return the time of the token with this index, in seconds."""
        return self.ttft_s + index * self.token_s

    def due_by(self, elapsed_s: float) -> int:
        """Return how many tokens are due after this time."""
        late_s = elapsed_s - self.ttft_s + _TIMER_SLACK_S
        if late_s < 0:
            return 0
        return int(late_s / self.token_s) + 1 if self.token_s else sys.maxsize


class EchoEngine(Engine):
    """Serves one model, with one token per word.

    ``count to N`` is answered by ``1 2 ... N``, ``spell: TEXT`` by TEXT as it stands, with one
    token per byte of its UTF-8, and any other text by itself. So a test chooses the answer, calls
    of tools among them.
    """

    def __init__(
        self,
        *,
        slots: int,
        pace: EchoPace | None = None,
        model: str = ECHO,
        formats: GivenFormats = FOUND,
    ) -> None:
        info = ModelFormats.of(formats, call=HERMES).added_to(
            ModelInfo(id=model, context_window=_WINDOW, max_output_tokens=_WINDOW)
        )
        self._info = EngineInfo(models=(info,), slots=slots)
        self._slots = Slots(slots)
        self._pace = pace or EchoPace()
        self._serving = False

    @override
    async def start(self) -> None:
        self._serving = True

    @override
    async def close(self) -> None:
        self._serving = False
        self._slots.end_all(EngineDeadError("The engine was closed."))

    @override
    def info(self) -> EngineInfo:
        return self._info

    @override
    async def abort(self, request_id: str) -> None:
        self._slots.end(request_id)

    @override
    async def health(self) -> bool:
        return self._serving

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        """Return the last user text; the ids only count the words of all messages and tools."""
        find_model(self._info.models, model)
        words = sum(len(text.split()) for text in texts_of(messages, tools))
        texts = (message.content for message in reversed(messages) if message.role == "user")
        return Prompt(token_ids=tuple(range(words)), text=next(texts, ""))

    @override
    async def prepare(self, request: GenerateRequest) -> None:
        refuse_format(request)
        refuse_sampling(request, "logit_bias")

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the first token alone, then all that are due each time."""
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
        """Wait until more tokens than those taken are due; return how many, 0 once ended."""
        loop = asyncio.get_running_loop()
        if taken:
            await asyncio.sleep(0)  # lets other requests run when all tokens are due already
        while generation.is_running():
            due = self._pace.due_by(loop.time() - began) - taken
            if due > 0:
                return min(due, _MAX_BURST) if taken else 1
            await generation.wait(until=began + self._pace.due_at(taken))
        return 0
