"""Stub engines whose loads, failures and deaths a test sets."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from worker.engines.echo.engine import EchoEngine, EchoPace
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineError,
    EngineInfo,
    GenerateRequest,
    ModelInfo,
    Prompt,
    Sampling,
    TokenChunk,
    ToolSpec,
)


class Loadable(EchoEngine):
    """Takes `load_s` to start, or fails with `error` then; a token takes `token_s`."""

    def __init__(
        self, *, load_s: float = 0.0, error: Exception | None = None, token_s: float = 1.0,
        models: Sequence[str] = ("inner",),
    ) -> None:  # fmt: skip
        super().__init__(slots=4, pace=EchoPace(token_s=token_s), model=models[0])
        self._models = tuple(models)
        self._load_s = load_s
        self._error = error
        self.sick = False
        self.closed = 0
        self.asked: list[str] = []

    async def start(self) -> None:
        await asyncio.sleep(self._load_s)
        if self._error is not None:
            raise self._error
        await super().start()

    async def close(self) -> None:
        self.closed += 1
        await super().close()

    def info(self) -> EngineInfo:
        models = (
            ModelInfo(name, context_window=500, max_output_tokens=400) for name in self._models
        )
        return EngineInfo(models=tuple(models), slots=4)

    async def health(self) -> bool:
        return await super().health() and not self.sick

    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        assert model in self._models
        return await super().assemble(self._models[0], messages, tools=tools)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        assert request.model in self._models
        assert type(request.prompt) is Prompt
        self.asked.append(request.model)
        async with aclosing(super().generate(replace(request, model=self._models[0]))) as chunks:
            async for chunk in chunks:
                yield chunk


class Adaptable(Loadable):
    """Takes adapters, except from ``bad``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.adapters: dict[str, str] = {}

    async def load_adapter(self, name: str, uri: str) -> None:
        if uri == "bad":
            raise EngineError("no adapter")
        self.adapters[name] = uri
        self._models = (self._models[0], *self.adapters)

    async def unload_adapter(self, name: str) -> None:
        del self.adapters[name]
        self._models = (self._models[0], *self.adapters)


async def a_request(
    engine: Engine, model: str, *, tokens: int = 10, known: int = 0
) -> GenerateRequest:
    """Return a request for the numbers up to `tokens`."""
    return GenerateRequest(
        request_id=f"r-{model}-{tokens}",
        model=model,
        prompt=await engine.assemble(model, [ChatMessage("user", f"count to {tokens}")]),
        sampling=Sampling(max_tokens=400),
    )


async def text(engine: Engine, model: str, *, tokens: int = 10) -> str:
    """Return a whole answer."""
    request = await a_request(engine, model, tokens=tokens)
    return "".join([chunk.text async for chunk in engine.generate(request)])


def counted(tokens: int) -> str:
    """Return what `text` should return."""
    return " ".join(str(number) for number in range(1, tokens + 1))
