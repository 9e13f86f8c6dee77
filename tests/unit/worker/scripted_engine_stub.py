"""An engine whose tokens and failures a test chooses."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from axon.protocol.objects import Usage
from worker.engines.protocol import (
    ChatMessage,
    EngineInfo,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    ToolSpec,
)


class ScriptedEngine:
    """Answers every request with `tokens`, one chunk a token; token n has the id 100 + n.

    `failures` are raised by one generation after the other, after a number of tokens of the answer.
    While `gate` is clear it waits before each token; after `pass_`, only when those have passed.
    """

    def __init__(
        self,
        tokens: Sequence[str] = (),
        *,
        finish: FinishReason | None = "stop",
        failures: Sequence[tuple[int, Exception]] = (),
        token_s: float = 0.0,
        context_window: int = 1000,
        max_output_tokens: int = 500,
        usage: Usage | None = None,
        estimated: bool = False,
        cached_tokens: int | None = None,
        call_format: str | None = None,
        reasoning_format: str | None = None,
    ) -> None:
        self.tokens = list(tokens)
        self.requests: list[GenerateRequest] = []
        self.messages: list[Sequence[ChatMessage]] = []
        self.tools: list[Sequence[ToolSpec]] = []
        self.running = 0
        self.given = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._passes: asyncio.Semaphore | None = None
        self._finish = finish
        self._usage = usage
        self._estimated = estimated
        self._cached_tokens = cached_tokens
        self._failures = list(failures)
        self._token_s = token_s
        model = ModelInfo(
            id="echo",
            context_window=context_window,
            max_output_tokens=max_output_tokens,
            call_format=call_format,
            reasoning_format=reasoning_format,
        )
        self._info = EngineInfo(models=(model,), slots=4)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def abort(self, request_id: str) -> None: ...

    async def health(self) -> bool:
        return True

    def info(self) -> EngineInfo:
        return self._info

    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        self.messages.append(messages)
        self.tools.append(tools)
        words = " ".join(message.text for message in messages)
        ids = tuple(range(len(words.split())))
        return Prompt(token_ids=ids, text=words, estimated=self._estimated)

    async def prepare(self, request: GenerateRequest) -> None: ...

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        self.requests.append(request)
        stop_at, error = self._failures.pop(0) if self._failures else (-1, None)
        self.running += 1
        try:
            for index in range(len(request.generated_token_ids), len(self.tokens)):
                if index == stop_at and error:
                    raise error
                await self._pace()
                self.given += 1
                cached = None if index else self._cached_tokens
                yield TokenChunk(self.tokens[index], (100 + index,), cached_tokens=cached)
            if error:
                raise error
            if self._finish:
                yield TokenChunk("", (), self._finish, self._usage)
        finally:
            self.running -= 1

    def pass_(self, count: int) -> None:
        """Allow `count` more tokens."""
        self._passes = self._passes or asyncio.Semaphore(0)
        for _ in range(count):
            self._passes.release()

    async def _pace(self) -> None:
        await self.gate.wait()
        if self._passes is not None:
            await self._passes.acquire()
        await asyncio.sleep(self._token_s)
