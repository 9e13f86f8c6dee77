"""An engine under contract, with texts that make it say little, much, or something difficult."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import count
from typing import cast

import pytest

from worker.engines.protocol import (
    ChatMessage,
    Engine,
    FinishReason,
    GenerateRequest,
    Sampling,
    TokenChunk,
)

# One process of a parallel run loads the model, and no other.
MODEL_MARKS = (pytest.mark.model, pytest.mark.xdist_group("smollm2"))
NEEDS_VLLM = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="needs vLLM: make test-vllm"
)
_NAMES = count()


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    token_ids: tuple[int, ...]
    reason: FinishReason | None


@dataclass(frozen=True, kw_only=True)
class Case:
    engine: Engine
    brief: str
    """Answered in a few tokens, of which the last is followed by the end."""
    long: str
    """Answered in at least 100 tokens."""
    beyond: str
    """More than the context window holds."""

    @property
    def model(self) -> str:
        return self.engine.info().models[0].id

    @property
    def slots(self) -> int:
        return self.engine.info().slots

    async def request(
        self, text: str, *, max_tokens: int = 100, known: tuple[int, ...] = ()
    ) -> GenerateRequest:
        return GenerateRequest(
            request_id=f"r{next(_NAMES)}",
            model=self.model,
            prompt=await self.engine.assemble(self.model, [ChatMessage("user", text)]),
            sampling=Sampling(max_tokens=max_tokens),
            generated_token_ids=known,
        )

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        return cast("AsyncGenerator[TokenChunk, None]", self.engine.generate(request))

    async def chunks(self, request: GenerateRequest) -> list[TokenChunk]:
        async with asyncio.timeout(60):
            return [chunk async for chunk in self.generate(request)]

    async def answer(
        self, text: str, *, max_tokens: int = 100, known: tuple[int, ...] = ()
    ) -> Answer:
        chunks = await self.chunks(await self.request(text, max_tokens=max_tokens, known=known))
        return Answer(
            text="".join(chunk.text for chunk in chunks),
            token_ids=tuple(i for chunk in chunks for i in chunk.token_ids),
            reason=chunks[-1].finish_reason,
        )
