"""Serves what another server generates."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from axon.retry import backoff
from worker.engines.limits import find_model, refuse_format, token_budget
from worker.engines.openai.chat import ChatDialect
from worker.engines.openai.client import UpstreamClient
from worker.engines.openai.dialect import Answer, Dialect
from worker.engines.openai.discovery import kind_of, served_models
from worker.engines.openai.errors import StalledError, TransientError
from worker.engines.openai.generation import UpstreamGeneration
from worker.engines.openai.tokens import TokenDialect
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import (
    ChatMessage,
    ContextOverflowError,
    EngineDeadError,
    EngineError,
    EngineInfo,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
)
from worker.engines.slots import Slots

LOGGER = logging.getLogger(__name__)

_HEALTHY_FOR_S = 5.0
_FIRST_PAUSE_S = 0.2


class OpenAiEngine:
    """Asks the upstream for each answer, and again for its rest when the stream breaks.

    A continued answer equals the uninterrupted one when it is greedy and the upstream continues
    a message as it would have gone on by itself.
    """

    def __init__(self, *, slots: int, upstream: Upstream) -> None:
        self._upstream = upstream
        self._slots = Slots(slots)
        self._info = EngineInfo(models=(), slots=slots)
        self._client: UpstreamClient | None = None
        self._dialect: Dialect = ChatDialect()

    async def start(self) -> None:
        """Ask what is served; ``EngineError`` if the upstream does not tell."""
        upstream = self._upstream
        client = self._client = UpstreamClient(upstream)
        try:
            models = await served_models(client, upstream)
            kind = await kind_of(client, upstream, model=models[0].id)
        except BaseException:
            await self.close()
            raise
        self._info = EngineInfo(models=models, slots=self._info.slots)
        if kind == "vllm":
            self._dialect = TokenDialect(
                client=client, root=upstream.root, timeout_s=upstream.first_token_timeout_s
            )

    async def close(self) -> None:
        """End what runs with ``EngineDeadError`` and close all connections."""
        self._slots.end_all(EngineDeadError("The engine was closed."))
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def info(self) -> EngineInfo:
        """Return the models and the slots."""
        return self._info

    async def abort(self, request_id: str) -> None:
        """End the generation, if there is one, and its stream."""
        self._slots.end(request_id)

    async def health(self) -> bool:
        """Return whether the upstream answered within the last seconds, or does now."""
        client, upstream = self._client, self._upstream
        if client is None:
            return False
        if asyncio.get_running_loop().time() - client.answered_at < _HEALTHY_FOR_S:
            return True
        try:
            await client.get(f"{upstream.url}/models", timeout_s=upstream.connect_timeout_s)
        except EngineError:
            return False
        return True

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render the conversation, in tokens if the upstream tells them."""
        find_model(self._info.models, model)
        self._running()
        return await self._dialect.assemble(model, messages)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer as the upstream does."""
        refuse_format(request)
        client = self._running()
        model = find_model(self._info.models, request.model)
        token_budget(request, model.context_window)  # refuses before a slot is taken
        generation = UpstreamGeneration(request.request_id, priority=request.priority)
        try:
            await self._slots.enter(generation)
            async with aclosing(self._chunks(request, model, client, generation)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._slots.leave(generation)

    async def _chunks(
        self,
        request: GenerateRequest,
        model: ModelInfo,
        client: UpstreamClient,
        generation: UpstreamGeneration,
    ) -> AsyncGenerator[TokenChunk, None]:
        answer = self._dialect.answer(request, model)
        trials = _Trials(self._upstream)
        while generation.goes_on() and (call := answer.call()) is not None:
            try:
                async with aclosing(client.events(call, generation)) as events:
                    async for event in events:
                        chunk = answer.take(event)
                        if chunk is not None and generation.goes_on():
                            yield chunk
                        if answer.full:
                            break
                if generation.goes_on() and answer.reason is None:
                    raise TransientError("The upstream's stream ended before the answer.")  # noqa: TRY301
            except ContextOverflowError as error:
                raise _overflow(model, error) from error
            except (TransientError, StalledError) as error:
                if answer.reason is None:
                    await trials.pause_after(error, answer, generation)
        if generation.goes_on():
            yield answer.last()

    def _running(self) -> UpstreamClient:
        if self._client is None:
            raise EngineDeadError("The engine does not run.")
        return self._client


class _Trials:
    """The further requests that one answer may take."""

    def __init__(self, upstream: Upstream) -> None:
        self._left = upstream.retries
        self._patience_s = upstream.first_token_timeout_s
        self._pauses = backoff(first_s=_FIRST_PAUSE_S)

    async def pause_after(
        self, error: TransientError | StalledError, answer: Answer, generation: UpstreamGeneration
    ) -> None:
        """Wait before the next one; raise the error if there is none.

        An upstream that took a request and says nothing may well be generating: only an answer
        that has begun is then asked for again.
        """
        wished_s = error.retry_after_s if isinstance(error, TransientError) else None
        stalled = isinstance(error, StalledError) and not answer.begun
        if not self._left or stalled or (wished_s or 0) > self._patience_s:
            raise error
        self._left -= 1
        LOGGER.warning("%s: %s Asking again.", generation.request_id, error)
        until = asyncio.get_running_loop().time() + max(next(self._pauses), wished_s or 0)
        await generation.wait(until=until)


def _overflow(model: ModelInfo, error: ContextOverflowError) -> ContextOverflowError:
    return ContextOverflowError(
        f"The prompt does not fit the context window of '{model.id}' "
        f"({model.context_window} tokens): {error}"
    )
