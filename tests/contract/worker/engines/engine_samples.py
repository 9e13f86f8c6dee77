"""An engine under contract, with texts that it answers briefly, at length, or with difficulty."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from tests.contract.worker.engines.echo_upstream_stub import EchoUpstream
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineDeadError,
    FinishReason,
    GenerateRequest,
    Prompt,
    Sampling,
    TokenChunk,
)

NEEDS_VLLM = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="needs vLLM: make test-vllm"
)
CHARACTERS = "é😀你好🌊 e\u0301👩‍👩‍👧"
"""Characters of two, three and four bytes, with combining marks and joiners."""
_NAMES = count()


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    token_ids: tuple[int, ...]
    reason: FinishReason | None
    stop: str | None = None


def answer_of(chunks: list[TokenChunk]) -> Answer:
    return Answer(
        text="".join(chunk.text for chunk in chunks),
        token_ids=tuple(i for chunk in chunks for i in chunk.token_ids),
        reason=chunks[-1].finish_reason,
        stop=chunks[-1].stop,
    )


def in_a_format(request: GenerateRequest) -> GenerateRequest:
    return replace(request, text_format={"type": "json_object"})


def with_an_impossible_penalty(request: GenerateRequest) -> GenerateRequest:
    return replace(request, sampling=replace(request.sampling, presence_penalty=9.0))


@dataclass(frozen=True, kw_only=True)
class EngineCase:
    engine: Engine
    brief: str
    """A text that is answered in a few tokens, to the end."""
    long: str
    """A text that is answered in at least 100 tokens."""
    beyond: str
    """A text that exceeds the context window."""
    spell: str = "spell: {}"
    """A text that is answered with characters that tokens split."""
    spell_format: Mapping[str, Any] | None = None
    spell_begun: bool = False
    """True if only a continued answer has such characters."""
    failing: Callable[[GenerateRequest], GenerateRequest] = in_a_format
    """Turns a request into one that fails alone."""
    upstream: EchoUpstream | None = None
    slow: bool = False
    """True if tests should run only a sample of similar cases."""

    @property
    def model(self) -> str:
        return self.engine.info().models[0].id

    @property
    def slots(self) -> int:
        return self.engine.info().slots

    @property
    def counts_tokens(self) -> bool:
        """Return whether ids are the model's tokens, and not pieces of text."""
        return self.upstream is None or self.upstream.kind == "vllm"

    @property
    def knows_texts(self) -> bool:
        """Return whether the text of ids is known without a request."""
        return self.upstream is None or self.upstream.kind == "openai"

    async def request(
        self,
        text: str,
        *,
        max_tokens: int = 100,
        known: tuple[int, ...] = (),
        stop: tuple[str, ...] = (),
    ) -> GenerateRequest:
        return GenerateRequest(
            request_id=f"r{next(_NAMES)}",
            model=self.model,
            prompt=await self.engine.assemble(self.model, [ChatMessage("user", text)]),
            sampling=Sampling(max_tokens=max_tokens, stop=stop),
            generated_token_ids=known,
        )

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        return self.engine.generate(request)

    async def chunks(self, request: GenerateRequest) -> list[TokenChunk]:
        async with asyncio.timeout(60):
            return [chunk async for chunk in self.generate(request)]

    async def answer(
        self,
        text: str,
        *,
        max_tokens: int = 100,
        known: tuple[int, ...] = (),
        stop: tuple[str, ...] = (),
    ) -> Answer:
        request = await self.request(text, max_tokens=max_tokens, known=known, stop=stop)
        return answer_of(await self.chunks(request))

    async def tokens_of(self, text: str) -> tuple[int, ...]:
        """The tokens of a text: where its prompt differs from that of no text."""
        empty, prompt = [(await self.request(t)).prompt.token_ids for t in ("", text)]
        start = next(i for i, (a, b) in enumerate(zip(empty, prompt, strict=False)) if a != b)
        return prompt[start : start + len(prompt) - len(empty)]

    async def lives(self) -> None:
        """Start it, use it and close it; it is healthy only between."""
        engine = self.engine
        early = GenerateRequest("early", "any", Prompt((1,), "hi"), Sampling(max_tokens=1))
        assert not await engine.health()
        with pytest.raises(EngineDeadError):
            await self.chunks(early)
        await engine.start()
        assert await engine.health()
        running = self.generate(await self.request(self.long, max_tokens=900))
        await anext(running)
        late = await self.request(self.brief)
        await engine.close()
        assert not await engine.health()
        for generation in (running, self.generate(late)):
            with pytest.raises(EngineDeadError):
                await anext(generation)
