"""Engine that serves one GGUF model by OpenVINO's continuous batching."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from typing_extensions import override

from worker.engines.model_formats import FOUND, GivenFormats
from worker.engines.openvino.answer import OpenVinoAnswer
from worker.engines.openvino.models import SMOLLM2, GgufModel, openable
from worker.engines.openvino.process import PipelineGeneration, PipelineProcess
from worker.engines.openvino.sampling import generation_config
from worker.engines.openvino.tokenizer import ChatTokenizer
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineDeadError,
    EngineInfo,
    GenerateRequest,
    Prompt,
    RefusedError,
    TokenChunk,
    ToolSpec,
)
from worker.engines.rendering import rendered
from worker.engines.request_checks import (
    find_model,
    refuse_format,
    refuse_sampling,
    token_budget,
)
from worker.engines.slots import Slots


class OpenVinoEngine(Engine):
    """The worker's side of the engine; the model runs in a process of its own.

    A continued answer equals the uninterrupted one unless it was sampled, or has a presence or
    frequency penalty, which OpenVINO computes from the tokens of the current attempt only.

    Parameters
    ----------
    slots : int
        Requests in one batch.
    model : GgufModel
        The GGUF file, its context window and the tokens that end its answers.
    cache_tokens : int
        Size of the KV cache in tokens (45 KB each), for running and earlier requests; at least the
        context window.
    formats : GivenFormats
        The operator's settings of how the model writes calls and reasoning.
    """

    def __init__(
        self,
        *,
        slots: int,
        model: GgufModel = SMOLLM2,
        cache_tokens: int = 16_384,
        formats: GivenFormats = FOUND,
    ) -> None:
        self._model = model
        self._formats = formats
        self._info = EngineInfo(models=(model.info,), slots=slots)
        self._cache_tokens = max(cache_tokens, model.info.context_window)
        self._slots = Slots(slots)
        self._process: PipelineProcess | None = None
        self._tokenizer: ChatTokenizer | None = None

    @override
    async def start(self) -> None:
        """Load the model.

        Raises
        ------
        EngineError
            A package is missing, or the model does not load.
        """
        path = await asyncio.to_thread(openable, self._model.path())
        arguments = (str(path), str(self._info.slots), str(self._cache_tokens))
        self._process = PipelineProcess(
            command=(sys.executable, "-m", "worker.engines.openvino.server", *arguments),
            on_death=self._slots.end_all,
        )
        try:
            tokenizer, _ = await asyncio.gather(
                asyncio.to_thread(
                    ChatTokenizer,
                    path,
                    stop_tokens=self._model.stop_tokens,
                    max_tokens=self._model.info.context_window,
                    formats=self._formats,
                ),
                self._process.start(),
            )
        except BaseException:
            await self.close()
            raise
        self._tokenizer = tokenizer
        model = tokenizer.formats.added_to(self._model.info)
        self._info = replace(self._info, models=(model,))

    @override
    async def close(self) -> None:
        self._slots.end_all(EngineDeadError("The engine was closed."))
        if self._process is not None:
            await self._process.close()

    @override
    def info(self) -> EngineInfo:
        return self._info

    @override
    async def health(self) -> bool:
        """Return whether the pipeline's process is alive."""
        return self._process is not None and self._process.alive

    @override
    async def abort(self, request_id: str) -> None:
        self._slots.end(request_id)

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        find_model(self._info.models, model)
        tokenizer, _ = self._running()
        return await rendered(tokenizer.render, messages, tools)

    @override
    async def prepare(self, request: GenerateRequest) -> None:
        refuse_format(request)
        refuse_sampling(request, "logit_bias")

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        tokenizer, process = self._running()
        refuse_format(request)
        token_ids = _input_ids(request, tokenizer)
        budget = token_budget(request, find_model(self._info.models, request.model).context_window)
        answer = OpenVinoAnswer(
            vocabulary=tokenizer.vocabulary,
            stop_token_ids=tokenizer.stop_token_ids,
            generated_token_ids=request.generated_token_ids,
            stop=request.sampling.stop,
        )
        if (end := answer.end_without_tokens(budget=budget)) is not None:
            yield end
            return
        config = generation_config(request, budget=budget, stop_token_ids=tokenizer.stop_token_ids)
        generation = PipelineGeneration(request.request_id, priority=request.priority)
        try:
            await self._slots.enter(generation)
            if generation.is_running():
                process.submit(generation, token_ids, config)
            while not answer.finished and (arrived := await generation.tokens()) is not None:
                chunk = answer.take(*arrived)
                if chunk is not None:
                    yield chunk
        finally:
            process.cancel(generation)
            self._slots.leave(generation)

    def _running(self) -> tuple[ChatTokenizer, PipelineProcess]:
        if self._tokenizer is None or self._process is None or not self._process.alive:
            raise EngineDeadError("The engine does not run.")
        return self._tokenizer, self._process


def _input_ids(request: GenerateRequest, tokenizer: ChatTokenizer) -> tuple[int, ...]:
    """Return the tokens that the model continues; an unknown id would end the process."""
    token_ids = request.prompt.token_ids + request.generated_token_ids
    if not token_ids or min(token_ids) < 0 or max(token_ids) >= len(tokenizer.vocabulary):
        raise RefusedError("The prompt has no tokens, or tokens that the model does not know.")
    return token_ids
