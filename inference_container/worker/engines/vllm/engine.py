"""Engine that serves one model by vLLM's `AsyncLLM` (API of vLLM 0.32)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from itertools import chain
from typing import Any

from typing_extensions import override

from worker.engines.adaptable import AdaptableEngine
from worker.engines.chat_renderer import ChatRenderer
from worker.engines.chat_template import TemplateFailedError
from worker.engines.format_checks import FormatChecks
from worker.engines.model_formats import FOUND, GivenFormats, ModelFormats
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineDeadError,
    EngineError,
    EngineInfo,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    TokenChunk,
    ToolSpec,
)
from worker.engines.rendering import rendered
from worker.engines.request_checks import find_model, token_budget
from worker.engines.slots import Generation, Slots
from worker.engines.text_chunker import TextChunker
from worker.engines.vllm.adapters import Adapters
from worker.engines.vllm.decoding import RegeneratedPrefix, token_decoder
from worker.engines.vllm.errors import dead_errors, refusals
from worker.engines.vllm.grammars import format_checks
from worker.engines.vllm.loading import load
from worker.engines.vllm.model import VllmModel
from worker.engines.vllm.ranks import Ranks
from worker.engines.vllm.rendering import renderer_of
from worker.engines.vllm.sampling import output_constraint, resumed_at, sampling_arguments
from worker.engines.vllm.usage import UsageCount
from worker.engines.vllm.weights import model_folder

logger = logging.getLogger(__name__)

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


class VllmEngine(Engine, AdaptableEngine):
    """Serves one model and its LoRA adapters; vLLM runs its engine core in processes of its own.

    A continued answer equals the uninterrupted one if it is greedy; presence and frequency
    penalties count the tokens of the current attempt only. Structured output is generated again
    from its beginning, and the known part is skipped.
    """

    def __init__(self, *, slots: int, model: VllmModel, formats: GivenFormats = FOUND) -> None:
        self._model = model
        self._given_formats = formats
        self._slot_count = slots
        self._slots = Slots(slots)
        self._adapters = Adapters(model.adapters, trust=model.trust)
        self._ranks = Ranks(int(model.arguments.get("data_parallel_size", 1)))
        self._info = EngineInfo(models=(), slots=slots)
        self._vllm: Any = None
        self._formats: FormatChecks | None = None
        self._tokenizer: Any = None
        self._renderer: ChatRenderer | None = None
        self._defaults: Mapping[str, Any] = {}
        self._running: set[str] = set()

    @override
    async def start(self) -> None:
        """Copy the weights if necessary, and load them.

        Raises
        ------
        EngineError
            They cannot be copied or loaded.
        """
        model = self._model
        folder = await asyncio.to_thread(
            model_folder,
            model.uri,
            cache=model.cache,
            trust=model.trust,
            weights=model.weights,
        )
        await asyncio.to_thread(self._adapters.fetch, cache=model.cache)
        try:
            self._vllm = await load(model, folder=folder, slots=self._slot_count)
            self._tokenizer = self._vllm.get_tokenizer()
            self._renderer = renderer_of(self._tokenizer, given=self._given_formats)
            await self._adapters.load(self._vllm)
        except Exception as error:
            await self.close()
            raise EngineError(f"vLLM cannot serve {model.uri}: {error}") from error
        self._formats = format_checks(self._vllm.vllm_config, slots=self._slot_count)
        self._formats.start()
        config = self._vllm.model_config
        self._defaults = config.get_diff_sampling_param()
        self._info = self._current_info()

    def _current_info(self) -> EngineInfo:
        window = self._vllm.model_config.max_model_len
        formats = self._renderer.formats if self._renderer else ModelFormats()
        return EngineInfo(
            models=tuple(
                formats.added_to(
                    ModelInfo(id=name, context_window=window, max_output_tokens=window)
                )
                for name in (self._model.name, *self._adapters.names)
            ),
            slots=self._slot_count,
        )

    @override
    async def close(self) -> None:
        self._slots.end_all(EngineDeadError("The engine was closed."))
        engine, self._vllm = self._vllm, None
        formats, self._formats = self._formats, None
        if formats is not None:
            await formats.close()
        if engine is not None:
            await engine.abort(list(self._running))
            await asyncio.to_thread(engine.shutdown)

    @override
    def info(self) -> EngineInfo:
        return self._info

    @override
    async def health(self) -> bool:
        """Return whether vLLM's engine core is alive."""
        if self._vllm is None:
            return False
        try:
            await self._vllm.check_health()
        except Exception:
            logger.exception("vLLM is not healthy")
            return False
        return True

    @override
    async def load_adapter(self, name: str, uri: str) -> None:
        model = self._model
        if not model.arguments.get("enable_lora"):
            raise EngineError(f"{model.name} takes adapters only with the setting enable_lora")
        try:
            await self._adapters.add(self._vllm, name, uri, cache=model.cache)
        except dead_errors() as error:
            raise EngineDeadError(f"vLLM has died: {error}") from error
        except Exception as error:
            raise EngineError(f"vLLM cannot serve the adapter {uri}: {error}") from error
        self._info = self._current_info()

    @override
    async def unload_adapter(self, name: str) -> None:
        await self._adapters.remove(self._vllm, name)
        self._info = self._current_info()

    async def sleep(self, level: int = 1) -> None:
        """Free the GPU's memory.

        Parameters
        ----------
        level : int
            1 keeps the weights in main memory, 2 discards them (vLLM's sleep levels).

        Raises
        ------
        EngineError
            AXON_ENABLE_SLEEP_MODE is not set, or a request is running.
        """
        if not self._model.arguments.get("enable_sleep_mode"):
            raise EngineError("the engine can sleep only with AXON_ENABLE_SLEEP_MODE=true")
        if self._running:
            raise EngineError(f"the engine cannot sleep: it runs {len(self._running)} requests")
        await self._vllm.sleep(level)

    async def wake_up(self) -> None:
        """Allocate the GPU's memory again; after level 2 the weights must be loaded again."""
        await self._vllm.wake_up()

    @override
    async def abort(self, request_id: str) -> None:
        self._slots.end(request_id)
        if request_id in self._running and self._vllm is not None:
            await self._vllm.abort(request_id)

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        find_model(self._info.models, model)
        return await rendered(self._render, messages, tools)

    def _render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> Prompt:
        if self._renderer is None:
            raise RefusedError("The model has no chat template: it takes no conversations.")
        try:
            pieces = self._renderer.render(messages, tools)
        except TemplateFailedError as error:
            raise RefusedError("The conversation cannot be rendered for the model.") from error
        encode = partial(self._tokenizer.encode, add_special_tokens=False)
        ids = tuple(chain.from_iterable(map(encode, pieces)))
        return Prompt(token_ids=ids, text="".join(pieces))

    @override
    async def prepare(self, request: GenerateRequest) -> None:
        if self._formats is None:
            raise EngineDeadError("The engine does not run.")
        if request.text_format is not None:
            await self._formats.check(request.text_format)

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        # Again, which takes no time: nothing but a format that was compiled before may reach vLLM.
        await self.prepare(request)
        budget = token_budget(request, find_model(self._info.models, request.model).context_window)
        text = TextChunker(
            token_decoder(self._tokenizer.backend_tokenizer, special_tokens=request.parsed),
            stop=request.sampling.stop,
            generated_token_ids=request.generated_token_ids,
            lengths=request.parsed,
        )
        if (end := text.end_without_tokens(budget=budget)) is not None:
            yield end
            return
        adapter = self._adapters.of(request.model)  # now: it may be unloaded before there is a slot
        generation = Generation(request.request_id, priority=request.priority)
        try:
            await self._slots.enter(generation)
            if generation.is_running():
                start = partial(self._outputs, request, budget, adapter)
                async with aclosing(self._stream(request, start, generation, text)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            self._slots.leave(generation)

    async def _stream(
        self,
        request: GenerateRequest,
        start: Callable[[int | None], AsyncGenerator[Any, None]],
        generation: Generation,
        text: TextChunker,
    ) -> AsyncGenerator[TokenChunk, None]:
        prefix = RegeneratedPrefix(request.generated_token_ids[resumed_at(request) :])
        usage = UsageCount(request)
        self._running.add(request.request_id)
        try:
            with self._ranks.assigned(request.conversation_id) as rank:
                async with aclosing(start(rank)) as outputs:
                    async for output in outputs:
                        completion = output.outputs[0]
                        if not generation.is_running():
                            return
                        reason = _reason(completion.finish_reason)
                        chunk = text.take(prefix.skip(_without_stop(completion)), reason)
                        if chunk is not None:
                            yield usage.counted(chunk, cached=output.num_cached_tokens)
                        if text.finished and completion.finish_reason is None:
                            return  # a stop string, which vLLM is not asked to find
            generation.is_running()  # raises if the engine died: vLLM's stream just ends then
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
            # vLLM's lowest number goes first, Axon's highest.
            priority=-request.priority if self._prioritised else 0,
            data_parallel_rank=rank,
        )
        return outputs

    @property
    def _prioritised(self) -> bool:
        return self._model.arguments.get("scheduling_policy") == "priority"


def _refusal(request: GenerateRequest, error: Exception) -> EngineError:
    """Return the error for a request that vLLM refused.

    A format and a bias are the client's own: everything else in the request is Axon's.
    """
    given = {"logit_bias": request.sampling.logit_bias, "text.format": request.text_format}
    names = " and ".join(f"'{name}'" for name, value in given.items() if value)
    if names:
        return RefusedError(f"The model cannot answer with this {names}: {error}")
    return EngineError(str(error))


def _reason(reason: str | None) -> FinishReason | None:
    """Return why the answer ended; None for an aborted one, and while it runs."""
    return None if reason is None else _REASONS.get(reason)


def _without_stop(completion: Any) -> Sequence[int]:
    """Return the tokens of an output without the one that ended the answer."""
    ids: list[int] = list(completion.token_ids)
    return ids[:-1] if completion.finish_reason == "stop" else ids
