"""An engine in front of an echo upstream."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.contract.worker.engines.echo_upstream_stub import EchoUpstream, echo_upstream
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import ChatMessage, GenerateRequest, Sampling, TokenChunk


@asynccontextmanager
async def serving(
    *, settings: dict[str, Any] | None = None, slots: int = 2, **server: Any
) -> AsyncGenerator[tuple[OpenAiEngine, EchoUpstream]]:
    async with echo_upstream(**server) as upstream:
        engine = OpenAiEngine(slots=slots, upstream=Upstream(url=upstream.url, **(settings or {})))
        await engine.start()
        try:
            yield engine, upstream
        finally:
            await engine.close()


async def ask(
    engine: OpenAiEngine,
    text: str,
    *,
    max_tokens: int = 100,
    known: Sequence[int] = (),
    **sampling: Any,
) -> GenerateRequest:
    model = engine.info().models[0].id
    return GenerateRequest(
        request_id="r",
        model=model,
        prompt=await engine.assemble(model, [ChatMessage("user", text)]),
        sampling=Sampling(max_tokens=max_tokens, **sampling),
        generated_token_ids=tuple(known),
    )


def generate(engine: OpenAiEngine, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
    return engine.generate(request)


async def chunks_of(engine: OpenAiEngine, text: str, **arguments: Any) -> list[TokenChunk]:
    request = await ask(engine, text, **arguments)
    return [chunk async for chunk in engine.generate(request)]


def joined(chunks: Sequence[TokenChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)
