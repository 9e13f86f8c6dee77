"""Several engines as one, which come and go while it serves."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

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
    UnloadedError,
)
from worker.models.loaded_engine import HostedPrompt, LoadedEngine

LOGGER = logging.getLogger(__name__)

_ORDER = (ModelState.SERVING, ModelState.LOADING, ModelState.UNLOADING, ModelState.FAILED)


async def start(engine: Engine) -> None:
    """Start an engine, or close it if it cannot be."""
    try:
        await engine.start()
    except BaseException:
        with suppress(Exception):
            await engine.close()
        raise


class ModelHost(Engine):
    """Passes each request on to the engine that serves its model.

    What an engine has begun it ends, also when another one serves the name meanwhile.

    Parameters
    ----------
    slots : int
        The worker's own: what all models together run at once.
    stop_timeout_s : float
        So long answers may go on when their model is unloaded or replaced.
    """

    def __init__(self, *, slots: int, stop_timeout_s: float) -> None:
        self._slots = slots
        self._stop_timeout_s = stop_timeout_s
        self._serving: dict[str, LoadedEngine] = {}
        self._leaving: list[LoadedEngine] = []
        self._forgotten: list[tuple[LoadedEngine, str]] = []
        self._expected: Sequence[ModelStatus] | None = ()
        self._replaced: Mapping[str, Sequence[ModelInfo]] = {}
        self._news = asyncio.Event()
        self._watcher: Callable[[], None] = lambda: None

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have this called whenever `models` may have changed."""
        self._watcher = watcher

    async def start(self) -> None:
        """Do nothing: engines are loaded one by one."""

    async def close(self) -> None:
        """End what runs with ``EngineDeadError`` and close all engines."""
        for member in (*self._serving.values(), *self._leaving):
            try:
                await member.engine.close()
            except Exception:
                LOGGER.exception("%s was not closed in good order", member.name)

    async def load(self, name: str, version: int, engine: Engine) -> None:
        """Start an engine and serve by it; an older one of this name leaves then (`settle`).

        Raises
        ------
        Exception
            Whatever kept it from starting; it is closed again.
        """
        await start(engine)
        self.take_over(name, version, engine)

    def take_over(self, name: str, version: int, engine: Engine) -> None:
        """Serve by an engine that was started."""
        member = LoadedEngine(name, version, engine)
        self.unload(name)
        self._serving[name] = member
        self._tell()

    async def adapt(self, name: str, version: int, *, base: str, uri: str) -> None:
        """Serve a LoRA adapter by the engine of `base`; it lives as long as that one.

        Raises
        ------
        EngineError
            That is not served here, or the adapter is not one for it.
        """
        member = self._serving.get(base)
        if member is None:
            raise EngineError(f"adapter_of: the model '{base}' is not served here")
        replaces = name in member.adapters
        await member.adapt(name, version, uri)
        if not replaces:
            self._unload_others(name, than=member)
        self._tell()

    def unload(self, name: str) -> None:
        """Give an engine, or an adapter, nothing new to do; `settle` closes it."""
        self._unload_others(name, than=None)
        self._tell()

    def _unload_others(self, name: str, *, than: LoadedEngine | None) -> None:
        if (member := self._serving.pop(name, None)) is not None:
            self._leaving.append(member)
            models = {name: tuple(member.models.values())}
            adapters = {adapter: (member.models[adapter],) for adapter in member.adapters}
            self._replaced = {**self._replaced, **adapters, **models}
        for member in self._serving.values():
            if name in member.adapters and member is not than:
                self._replaced = {**self._replaced, name: (member.models[name],)}
                member.forget(name)
                self._forgotten.append((member, name))

    async def settle(self) -> None:
        """Let running answers of the engines that leave end, or be continued elsewhere."""
        while self._forgotten:
            member, name = self._forgotten.pop()
            await member.discard(name)
        while self._leaving:
            member = self._leaving[0]
            try:
                await member.retire(timeout_s=self._stop_timeout_s)
            except Exception:
                LOGGER.exception("%s was not closed in good order", member.name)
            self._leaving.remove(member)
            self._tell()

    def expect(self, models: Sequence[ModelStatus] | None) -> None:
        """Note what else is to be served here: what is loaded, waits for that, or has failed.

        None: that is not known yet, so that any model may come.
        """
        self._expected = models
        coming = {model.name for model in models or () if model.state is ModelState.LOADING}
        self._replaced = {name: old for name, old in self._replaced.items() if name in coming}
        self._tell()

    def versions(self) -> Mapping[str, int]:
        """Return which version of each declared model is served."""
        versions: dict[str, int] = {}
        for member in self._serving.values():
            versions.update({**member.adapters, member.name: member.version})
        return versions

    def models(self) -> Sequence[ModelStatus]:
        """Return how far each model is; a name that two engines have, with its better state first.

        Of engines that serve, by what requests may say.
        """
        held = [*self._held(), *(self._expected or ())]
        return sorted(held, key=lambda model: _ORDER.index(model.state))

    def _held(self) -> Iterator[ModelStatus]:
        for member in self._serving.values():
            for name in member.models:
                version = member.adapters.get(name, member.version)
                yield ModelStatus(name, ModelState.SERVING, version)
        for member in self._leaving:
            yield ModelStatus(member.name, ModelState.UNLOADING, member.version)

    def state_of(self, model: str) -> ModelState | None:
        """Return how far a model is, None if nobody wants it here."""
        for held in self.models():
            if held.name == model:
                return held.state
        open_ = self._expected is None or model in self._replaced
        return ModelState.LOADING if open_ else None

    async def ready(self, model: str) -> bool:
        """Wait until a model is served; False when it is not, and none is being loaded."""
        while (state := self.state_of(model)) is ModelState.LOADING:
            await self._news.wait()
        return state is ModelState.SERVING

    def info(self) -> EngineInfo:
        """Return all models, each once, and the worker's slots.

        A model whose next version is still to be loaded stays in it: who asks for it may wait.
        """
        models = {model.id: model for model in self._infos()}
        return EngineInfo(models=tuple(models.values()), slots=self._slots)

    def _infos(self) -> Iterator[ModelInfo]:
        for models in self._replaced.values():
            yield from models
        for member in self._serving.values():
            yield from member.models.values()
        for name, member in self._serving.items():  # a declared name goes before an engine's own
            if name in member.models:
                yield member.models[name]

    async def health(self) -> bool:
        """Return whether every engine that serves is healthy."""
        return all([await member.engine.health() for member in self._serving.values()])

    async def abort(self, request_id: str) -> None:
        """End the generation, whichever engine runs it."""
        for member in (*self._serving.values(), *self._leaving):
            await member.engine.abort(request_id)

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> Prompt:
        """Render for the engine that serves the model now."""
        return await self._member(model).assemble(model, messages)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer of the engine for which the prompt was rendered.

        Raises
        ------
        UnloadedError
            That one has left, or is to; a new attempt finds another.
        RefusedError
            Nobody serves the model here.
        """
        prompt, member = request.prompt, None
        if isinstance(prompt, HostedPrompt):
            member, request = prompt.member, replace(request, prompt=prompt.own)
        async with aclosing((member or self._member(request.model)).generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _member(self, model: str) -> LoadedEngine:
        named = self._serving.get(model)
        if named is not None and model in named.models:
            return named
        for member in self._serving.values():
            if model in member.models:
                return member
        if self.state_of(model) is ModelState.LOADING:
            raise UnloadedError(f"The model '{model}' is still to be loaded.")
        raise RefusedError(f"The model '{model}' is no longer served. Use another one.")

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
        self._watcher()
