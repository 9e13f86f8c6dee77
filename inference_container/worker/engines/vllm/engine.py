"""Serves one model by vLLM's AsyncLLM (API of 0.32)."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from axon.settings import WorkerSettings
from worker.engines.limits import find_model, token_budget
from worker.engines.protocol import (
    ChatMessage,
    EngineDeadError,
    EngineError,
    EngineInfo,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    TokenChunk,
)
from worker.engines.slots import Generation, Slots
from worker.engines.vllm.sampling import sampling_arguments
from worker.engines.vllm.text import TokenText
from worker.engines.vllm.weights import model_folder

LOGGER = logging.getLogger(__name__)

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmModel:
    """What to serve. `uri`: a local folder or ``s3://bucket/folder``; `name`: what requests say."""

    name: str
    uri: str
    tensor_parallel_size: int = 1
    max_model_len: int | None = None
    cache: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "models")
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of ``AsyncEngineArgs``."""

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self | None:
        """Return what the settings name, None if they do not name a model and its place."""
        if settings.model_name is None or settings.model_uri is None:
            return None
        return cls(
            name=settings.model_name,
            uri=settings.model_uri,
            tensor_parallel_size=settings.tensor_parallel_size,
            max_model_len=settings.max_model_len,
        )


class VllmEngine:
    """vLLM's engine core runs in a process of its own, as vLLM starts it.

    A continued answer equals the uninterrupted one when it is greedy; presence and frequency
    penalties count what the current attempt generated.
    """

    def __init__(self, *, slots: int, model: VllmModel) -> None:
        self._model = model
        self._count = slots
        self._slots = Slots(slots)
        self._info = EngineInfo(models=(), slots=slots)
        self._vllm: Any = None
        self._tokenizer: Any = None
        self._defaults: Mapping[str, Any] = {}
        self._running: set[str] = set()

    async def start(self) -> None:
        """Fetch the weights and load them; ``EngineError`` if that fails."""
        model = self._model
        folder = await asyncio.to_thread(model_folder, model.uri, cache=model.cache)
        try:
            self._vllm = _load(folder, model=model, slots=self._count)
            self._tokenizer = self._vllm.get_tokenizer()
        except Exception as error:
            await self.close()
            raise EngineError(f"vLLM cannot serve {model.uri}: {error}") from error
        config = self._vllm.model_config
        self._defaults = config.get_diff_sampling_param()
        window = config.max_model_len
        info = ModelInfo(id=model.name, context_window=window, max_output_tokens=window)
        self._info = EngineInfo(models=(info,), slots=self._count)

    async def close(self) -> None:
        """End what runs with ``EngineDeadError`` and free the model's memory."""
        self._slots.end_all(EngineDeadError("The engine was closed."))
        engine, self._vllm = self._vllm, None
        if engine is not None:
            await engine.abort(list(self._running))
            await asyncio.to_thread(engine.shutdown)

    def info(self) -> EngineInfo:
        """Return the model and the slots."""
        return self._info

    async def health(self) -> bool:
        """Return whether vLLM's engine core lives."""
        if self._vllm is None:
            return False
        try:
            await self._vllm.check_health()
        except Exception:
            LOGGER.exception("vLLM is not healthy")
            return False
        return True

    async def abort(self, request_id: str) -> None:
        """End the generation, if there is one."""
        self._slots.end(request_id)
        if request_id in self._running and self._vllm is not None:
            await self._vllm.abort(request_id)

    def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render by the model's own chat template."""
        find_model(self._info.models, model)
        history = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(
                history, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # templates raise what they like
            raise RefusedError("The conversation cannot be rendered for the model.") from error
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return Prompt(token_ids=tuple(ids), text=text)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream whole characters, each chunk with the ids of its text."""
        if self._vllm is None:
            raise EngineDeadError("The engine does not run.")
        budget = token_budget(request, find_model(self._info.models, request.model).context_window)
        if not budget:
            yield TokenChunk("", (), "length")
            return
        generation = Generation(request.request_id)
        try:
            await self._slots.enter(generation)
            if generation.goes_on():
                async with aclosing(self._stream(request, budget, generation)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            self._slots.leave(generation)

    async def _stream(
        self, request: GenerateRequest, budget: int, generation: Generation
    ) -> AsyncGenerator[TokenChunk, None]:
        text = TokenText(
            self._tokenizer.backend_tokenizer, generated_token_ids=request.generated_token_ids
        )
        self._running.add(request.request_id)
        outputs = self._outputs(request, budget)
        try:
            async for output in outputs:
                completion = output.outputs[0]
                if not generation.goes_on():
                    return
                reason = _reason(completion.finish_reason)
                chunk = text.take(_without_stop(completion), reason)
                if chunk is not None:
                    yield chunk
            generation.goes_on()
        except ValueError as error:  # vLLM's refusal of a request
            raise EngineError(str(error)) from error
        except _dead_error() as error:
            raise EngineDeadError(f"vLLM has died: {error}") from error
        finally:
            self._running.discard(request.request_id)
            await outputs.aclose()

    def _outputs(self, request: GenerateRequest, budget: int) -> AsyncGenerator[Any, None]:
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        arguments = sampling_arguments(request, budget=budget, defaults=self._defaults)
        outputs: AsyncGenerator[Any, None] = self._vllm.generate(
            TokensPrompt(
                prompt_token_ids=[*request.prompt.token_ids, *request.generated_token_ids]
            ),
            SamplingParams(output_kind=RequestOutputKind.DELTA, **arguments),
            request.request_id,
        )
        return outputs


def _load(folder: Path, *, model: VllmModel, slots: int) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments: dict[str, Any] = {
        "model": str(folder),
        "served_model_name": model.name,
        "max_num_seqs": slots,
        "tensor_parallel_size": model.tensor_parallel_size,
        "max_model_len": model.max_model_len,
        "enable_prefix_caching": True,
        **model.arguments,
    }
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


def _dead_error() -> type[Exception]:
    from vllm.v1.engine.exceptions import EngineDeadError as VllmDeadError

    dead: type[Exception] = VllmDeadError
    return dead


def _reason(reason: str | None) -> FinishReason | None:
    """Return why the answer ended; what was aborted ends without a reason of its own."""
    return None if reason is None else _REASONS.get(reason)


def _without_stop(completion: Any) -> Sequence[int]:
    """Leave out the token that ended the answer."""
    ids: list[int] = list(completion.token_ids)
    return ids[:-1] if completion.finish_reason == "stop" else ids
