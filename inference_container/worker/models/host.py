"""The engines of a worker behind the protocol of one; models are loaded while it serves."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from typing_extensions import override

from axon.directory.workers import ModelState, ModelStatus
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineError,
    EngineInfo,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    TokenChunk,
    ToolSpec,
    UnloadedError,
)
from worker.models.bounded_calls import EngineHangsError, bounded
from worker.models.loaded_engine import CLOSE_TIMEOUT_S, HostedPrompt, LoadedEngine

logger = logging.getLogger(__name__)

_HEALTH_TIMEOUT_S = 5.0

_STATE_ORDER = (
    ModelState.SERVING,
    ModelState.LOADING,
    ModelState.UNLOADING,
    ModelState.FAILED,
)


async def start_or_close(engine: Engine, *, within_s: float = 1800.0) -> None:
    """Start an engine; close it if that fails, or takes longer than `within_s` seconds.

    Raises
    ------
    EngineHangsError
        It did not start in time.
    Exception
        The engine's own error.
    """
    try:
        await bounded(engine.start(), within_s=within_s, what="start")
    except BaseException:
        with suppress(Exception):
            await bounded(engine.close(), within_s=CLOSE_TIMEOUT_S, what="close")
        raise


async def _close(loaded: LoadedEngine) -> None:
    try:
        await loaded.close()
    except Exception:
        logger.exception("the engine of %s could not be closed", loaded.name)


class ModelHost(Engine):
    """Passes each request on to the engine that serves its model.

    An engine completes what it has begun, also when another one serves the name meanwhile. An
    engine is in one of two lists: it serves, or it was unloaded and drains (`drain_unloaded`). A
    swap keeps the model visible: as long as its next version is to be loaded, requests for it wait
    instead of being refused.

    Parameters
    ----------
    slots : int
        The worker's slots: requests that all models together run at once.
    stop_timeout_s : float
        Seconds that running generations may take when their model is unloaded or swapped.
    stall_s : float
        Seconds without a token, though generations run, after which an engine hangs.
    start_timeout_s : float
        Seconds that an engine may take to load its model.
    """

    def __init__(
        self,
        *,
        slots: int,
        stop_timeout_s: float,
        stall_s: float = 60.0,
        start_timeout_s: float = 1800.0,
    ) -> None:
        self._slots = slots
        self._stop_timeout_s = stop_timeout_s
        self._stall_s = stall_s
        self._start_timeout_s = start_timeout_s
        self._serving: dict[str, LoadedEngine] = {}
        self._draining: list[LoadedEngine] = []
        self._closing_hangs: list[str] = []
        self._removed_adapters: list[tuple[LoadedEngine, str]] = []
        self._pending: Sequence[ModelStatus] | None = ()
        self._swapping: Mapping[str, Sequence[ModelInfo]] = {}
        self._changed = asyncio.Event()
        self._watcher: Callable[[], None] = lambda: None

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` whenever `models` may have changed."""
        self._watcher = watcher

    @override
    async def start(self) -> None:
        """Do nothing: engines are loaded one by one."""

    @override
    async def close(self) -> None:
        async with asyncio.TaskGroup() as group:
            for loaded in (*self._serving.values(), *self._draining):
                group.create_task(_close(loaded))

    async def load(self, name: str, version: int, engine: Engine) -> None:
        """Start an engine and serve a model by it; unload the engine that served it before.

        Raises
        ------
        Exception
            The engine's own error; it is closed, and the one before serves on.
        """
        await start_or_close(engine, within_s=self._start_timeout_s)
        self.serve(name, version, engine)

    def serve(self, name: str, version: int, engine: Engine) -> None:
        """Serve a model by an engine that was started."""
        loaded = LoadedEngine(name, version, engine)
        self.unload(name)
        self._serving[name] = loaded
        self._notify()

    async def load_adapter(self, name: str, version: int, *, base: str, uri: str) -> None:
        """Serve a LoRA adapter by the engine of `base`, until that engine is unloaded.

        Raises
        ------
        EngineError
            The base is not served here, or the adapter does not fit it.
        """
        loaded = self._serving.get(base)
        if loaded is None:
            raise EngineError(f"adapter_of: the model '{base}' is not served here")
        swaps = name in loaded.adapters
        await bounded(
            loaded.load_adapter(name, version, uri),
            within_s=self._start_timeout_s,
            what="load the adapter",
        )
        if not swaps:
            # The name may have been a model of its own, or an adapter of another base.
            self._unload_except(name, kept=loaded)
        self._notify()

    def unload(self, name: str) -> None:
        """Accept no further requests for a model or an adapter; `drain_unloaded` closes it."""
        self._unload_except(name, kept=None)
        self._notify()

    def _unload_except(self, name: str, *, kept: LoadedEngine | None) -> None:
        if (loaded := self._serving.pop(name, None)) is not None:
            self._draining.append(loaded)
            models = {name: tuple(loaded.models.values())}
            # An engine's adapters are unloaded with it, and loaded again into the next version.
            adapters = {adapter: (loaded.models[adapter],) for adapter in loaded.adapters}
            self._swapping = {**self._swapping, **adapters, **models}
        for loaded in self._serving.values():
            if name in loaded.adapters and loaded is not kept:
                self._swapping = {**self._swapping, name: (loaded.models[name],)}
                loaded.remove_adapter(name)
                self._removed_adapters.append((loaded, name))

    async def drain_unloaded(self) -> None:
        """Wait for the generations of unloaded engines, then close these.

        Generations that take longer than the stop timeout end with `UnloadedError`, so that another
        attempt continues them elsewhere.
        """
        while self._removed_adapters:
            loaded, name = self._removed_adapters.pop()
            await loaded.unload_adapter(name)
        while self._draining:
            # In the list until it is closed: its memory is in use, and peers see it as unloading.
            loaded = self._draining[0]
            try:
                await loaded.drain(timeout_s=self._stop_timeout_s)
            except EngineHangsError as error:
                # Its memory may never be freed: only the process's end does that.
                self._closing_hangs.append(f"{loaded.name}: {error}")
            except Exception:
                logger.exception("the engine of %s could not be closed", loaded.name)
            self._draining.remove(loaded)
            self._notify()

    def set_pending(self, models: Sequence[ModelStatus] | None) -> None:
        """Set the desired models that are not served: to be loaded, or failed.

        Parameters
        ----------
        models : Sequence[ModelStatus] | None
            None as long as the desired state is not known: any model may be among them.
        """
        self._pending = models
        coming = {model.name for model in models or () if model.state is ModelState.LOADING}
        self._swapping = {name: old for name, old in self._swapping.items() if name in coming}
        self._notify()

    def hangs(self) -> Sequence[str]:
        """Return, for each engine that hangs, what it does not do."""
        loaded = (*self._serving.values(), *self._draining)
        hangs = [hang for each in loaded if (hang := each.hang(stall_s=self._stall_s))]
        return [*self._closing_hangs, *hangs]

    def excuse_silence(self) -> None:
        """Count from now on how long engines have given no token: this process took none."""
        for loaded in (*self._serving.values(), *self._draining):
            loaded.excuse_silence()

    def versions(self) -> Mapping[str, int]:
        """Return the observed state: the version served of each declared model, by name."""
        versions: dict[str, int] = {}
        for loaded in self._serving.values():
            versions.update({**loaded.adapters, loaded.name: loaded.version})
        return versions

    def models(self) -> Sequence[ModelStatus]:
        """Return the state of each model, by the names that requests use.

        A model with two versions has two entries, the better state first.
        """
        models = [*self._loaded_models(), *(self._pending or ())]
        return sorted(models, key=lambda model: _STATE_ORDER.index(model.state))

    def _loaded_models(self) -> Iterator[ModelStatus]:
        for loaded in self._serving.values():
            for name in loaded.models:
                version = loaded.adapters.get(name, loaded.version)
                own = name == loaded.name or name in loaded.adapters
                declared = "" if own else loaded.name
                yield ModelStatus(name, ModelState.SERVING, version, declared=declared)
        for loaded in self._draining:
            yield ModelStatus(loaded.name, ModelState.UNLOADING, loaded.version)

    def state_of(self, model: str) -> ModelState | None:
        """Return the best state of a model, None if it is neither loaded nor desired here."""
        for status in self.models():
            if status.name == model:
                return status.state
        may_be_loaded = self._pending is None or model in self._swapping
        return ModelState.LOADING if may_be_loaded else None

    async def ready(self, model: str) -> bool:
        """Wait while a model is being loaded; return whether it is served then."""
        while (state := self.state_of(model)) is ModelState.LOADING:
            await self._changed.wait()
        return state is ModelState.SERVING

    @override
    def info(self) -> EngineInfo:
        """Return all models, each once, and the worker's slots.

        A model whose next version is still to be loaded is among them: requests for it wait.
        """
        models = {model.id: model for model in self._infos()}
        return EngineInfo(models=tuple(models.values()), slots=self._slots)

    def _infos(self) -> Iterator[ModelInfo]:
        # In ascending precedence: of two entries for a name the later one counts.
        for models in self._swapping.values():
            yield from models
        for loaded in self._serving.values():
            yield from loaded.models.values()
        for name, loaded in self._serving.items():  # a declared name precedes an engine's own
            if name in loaded.models:
                yield loaded.models[name]

    @override
    async def health(self) -> bool:
        if self.hangs():
            return False
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                return all([await loaded.engine.health() for loaded in self._serving.values()])
        except TimeoutError:
            return False

    @override
    async def abort(self, request_id: str) -> None:
        for loaded in (*self._serving.values(), *self._draining):
            await loaded.engine.abort(request_id)

    @override
    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> Prompt:
        return await self._loaded(model).assemble(model, messages, tools=tools)

    @override
    async def prepare(self, request: GenerateRequest) -> None:
        loaded, own = self._rendered(request)
        await loaded.prepare(own)

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer of the engine that rendered the prompt.

        Raises
        ------
        UnloadedError
            That engine was unloaded; a new attempt renders the prompt for another one.
        RefusedError
            No engine serves the model here.
        """
        loaded, own = self._rendered(request)
        async with aclosing(loaded.generate(own)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _rendered(self, request: GenerateRequest) -> tuple[LoadedEngine, GenerateRequest]:
        """Return the engine that rendered a request's prompt, and the request with that prompt."""
        prompt, loaded = request.prompt, None
        if isinstance(prompt, HostedPrompt):
            loaded, request = prompt.loaded, replace(request, prompt=prompt.engine_prompt)
        return loaded or self._loaded(request.model), request

    def _loaded(self, model: str) -> LoadedEngine:
        declared = self._serving.get(model)
        if declared is not None and model in declared.models:
            return declared
        for loaded in self._serving.values():
            if model in loaded.models:
                return loaded
        if self.state_of(model) is ModelState.LOADING:
            raise UnloadedError(f"The model '{model}' is still to be loaded.")
        raise RefusedError(f"The model '{model}' is no longer served. Use another one.")

    def _notify(self) -> None:
        # A new event each time: all that wait now wake up, and what waits later waits for the next.
        self._changed.set()
        self._changed = asyncio.Event()
        self._watcher()
