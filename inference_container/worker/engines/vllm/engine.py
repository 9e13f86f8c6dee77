"""Serves one model by vLLM's AsyncLLM (API of 0.32)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

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
from worker.engines.rendering import plain_messages, rendered
from worker.engines.slots import Generation, Slots
from worker.engines.token_text import TokenText
from worker.engines.vllm.adapters import Adapters
from worker.engines.vllm.errors import dead_errors, refusals
from worker.engines.vllm.loading import load
from worker.engines.vllm.model import VllmModel
from worker.engines.vllm.ranks import Ranks
from worker.engines.vllm.sampling import output_constraint, resumed_at, sampling_arguments
from worker.engines.vllm.text import Repeated, decoder
from worker.engines.vllm.weights import model_folder

LOGGER = logging.getLogger(__name__)

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


class VllmEngine:
    """vLLM's engine core runs in a process of its own, as vLLM starts it.

    A continued answer equals the uninterrupted one when it is greedy; presence and frequency
    penalties count what the current attempt generated. An answer in a format is generated anew,
    and what is known of it left out.
    """

    def __init__(self, *, slots: int, model: VllmModel) -> None:
        self._model = model
        self._count = slots
        self._slots = Slots(slots)
        self._adapters = Adapters(model.adapters)
        self._ranks = Ranks(int(model.arguments.get("data_parallel_size", 1)))
        self._info = EngineInfo(models=(), slots=slots)
        self._vllm: Any = None
        self._tokenizer: Any = None
        self._defaults: Mapping[str, Any] = {}
        self._running: set[str] = set()

    async def start(self) -> None:
        """Fetch the weights and load them; ``EngineError`` if that fails."""
        model = self._model
        folder = await asyncio.to_thread(model_folder, model.uri, cache=model.cache)
        await asyncio.to_thread(self._adapters.fetch, cache=model.cache)
        try:
            self._vllm = await load(model, folder=folder, slots=self._count)
            self._tokenizer = self._vllm.get_tokenizer()
            await self._adapters.load(self._vllm)
        except Exception as error:
            await self.close()
            raise EngineError(f"vLLM cannot serve {model.uri}: {error}") from error
        config = self._vllm.model_config
        self._defaults = config.get_diff_sampling_param()
        self._info = self._served()

    def _served(self) -> EngineInfo:
        window = self._vllm.model_config.max_model_len
        return EngineInfo(
            models=tuple(
                ModelInfo(id=name, context_window=window, max_output_tokens=window)
                for name in (self._model.name, *self._adapters.names)
            ),
            slots=self._count,
        )

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

    async def load_adapter(self, name: str, uri: str) -> None:
        """Serve a LoRA adapter under this name, from now on this one."""
        model = self._model
        if not model.arguments.get("enable_lora"):
            raise EngineError(f"{model.name} takes adapters only with the setting enable_lora")
        try:
            await self._adapters.add(self._vllm, name, uri, cache=model.cache)
        except dead_errors() as error:
            raise EngineDeadError(f"vLLM has died: {error}") from error
        except Exception as error:
            raise EngineError(f"vLLM cannot serve the adapter {uri}: {error}") from error
        self._info = self._served()

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter; answers that it has begun go on."""
        await self._adapters.remove(self._vllm, name)
        self._info = self._served()

    async def sleep(self, level: int = 1) -> None:
        """Free the GPU's memory: level 1 keeps the weights in main memory, 2 forgets them.

        Raises
        ------
        EngineError
            AXON_ENABLE_SLEEP_MODE is not set, or something runs.
        """
        if not self._model.arguments.get("enable_sleep_mode"):
            raise EngineError("the engine can sleep only with AXON_ENABLE_SLEEP_MODE=true")
        if self._running:
            raise EngineError(f"the engine cannot sleep: it runs {len(self._running)} requests")
        await self._vllm.sleep(level)

    async def wake_up(self) -> None:
        """Take the memory again; after level 2 the weights must be loaded anew."""
        await self._vllm.wake_up()

    async def abort(self, request_id: str) -> None:
        """End the generation, if there is one."""
        self._slots.end(request_id)
        if request_id in self._running and self._vllm is not None:
            await self._vllm.abort(request_id)

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render by the model's own chat template."""
        find_model(self._info.models, model)
        return await rendered(self._render, messages)

    def _render(self, messages: Sequence[ChatMessage]) -> Prompt:
        try:
            text = self._tokenizer.apply_chat_template(
                plain_messages(messages), tokenize=False, add_generation_prompt=True
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
        text = TokenText(
            decoder(self._tokenizer.backend_tokenizer),
            stop=request.sampling.stop,
            generated_token_ids=request.generated_token_ids,
        )
        if text.finished or not budget:
            yield TokenChunk("", (), "stop" if text.finished else "length")
            return
        adapter = self._adapters.of(request.model)  # it may be unloaded before there is a slot
        generation = Generation(request.request_id, priority=request.priority)
        try:
            await self._slots.enter(generation)
            if generation.goes_on():
                ask = partial(self._outputs, request, budget, adapter)
                async with aclosing(self._stream(request, ask, generation, text)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            self._slots.leave(generation)

    async def _stream(
        self,
        request: GenerateRequest,
        ask: Callable[[int | None], AsyncGenerator[Any, None]],
        generation: Generation,
        text: TokenText,
    ) -> AsyncGenerator[TokenChunk, None]:
        repeated = Repeated(request.generated_token_ids[resumed_at(request) :])
        self._running.add(request.request_id)
        try:
            with self._ranks.taken(request.conversation_id) as rank:
                async with aclosing(ask(rank)) as outputs:
                    async for output in outputs:
                        completion = output.outputs[0]
                        if not generation.goes_on():
                            return
                        reason = _reason(completion.finish_reason)
                        chunk = text.take(repeated.skip(_without_stop(completion)), reason)
                        if chunk is not None:
                            yield chunk
                        if text.finished and completion.finish_reason is None:
                            return  # a stop string, which vLLM does not look for
            generation.goes_on()
        except refusals() as error:
            raise _refusal(request, error) from error
        except dead_errors() as error:
            raise EngineDeadError(f"vLLM has died: {error}") from error
        finally:
            self._running.discard(request.request_id)

    def _outputs(
        self, request: GenerateRequest, budget: int, adapter: Any, rank: int | None
    ) -> AsyncGenerator[Any, None]:
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        known = request.generated_token_ids[: resumed_at(request)]
        arguments = sampling_arguments(
            request,
            budget=budget + len(request.generated_token_ids) - len(known),
            defaults=self._defaults,
        )
        if request.text_format is not None:
            constraint = output_constraint(request.text_format)
            arguments["structured_outputs"] = StructuredOutputsParams(**constraint)
        outputs: AsyncGenerator[Any, None] = self._vllm.generate(
            TokensPrompt(prompt_token_ids=[*request.prompt.token_ids, *known]),
            SamplingParams(output_kind=RequestOutputKind.DELTA, **arguments),
            request.request_id,
            lora_request=adapter,
            priority=-request.priority if self._prioritised else 0,
            data_parallel_rank=rank,
        )
        return outputs

    @property
    def _prioritised(self) -> bool:
        return self._model.arguments.get("scheduling_policy") == "priority"


def _refusal(request: GenerateRequest, error: Exception) -> EngineError:
    """Tell the client what it can change: the format is its own, the rest Axon's."""
    if request.text_format is not None:
        return RefusedError(f"The model cannot answer in this 'text.format': {error}")
    return EngineError(str(error))


def _reason(reason: str | None) -> FinishReason | None:
    """Return why the answer ended; what was aborted ends without a reason of its own."""
    return None if reason is None else _REASONS.get(reason)


def _without_stop(completion: Any) -> Sequence[int]:
    """Leave out the token that ended the answer."""
    ids: list[int] = list(completion.token_ids)
    return ids[:-1] if completion.finish_reason == "stop" else ids
