"""An engine among several, and who uses it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace

from worker.engines.protocol import (
    AdaptableEngine,
    ChatMessage,
    Engine,
    EngineDeadError,
    EngineError,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    UnloadedError,
)

LOGGER = logging.getLogger(__name__)

_ABORTING_S = 5.0
"""So long answers may take to end once they were aborted."""


@dataclass(frozen=True, slots=True)
class HostedPrompt(Prompt):
    """A prompt in the tokens of one member, which means nothing to another."""

    member: "LoadedEngine | None" = field(default=None, compare=False, repr=False)
    own: Prompt = field(default=Prompt((), ""), compare=False, repr=False)
    """As the member's engine gave it."""


class LoadedEngine:
    """A started engine that serves a model, under the name that was declared for it.

    An engine of several models serves them under their own names.
    """

    def __init__(self, name: str, version: int, engine: Engine) -> None:
        self.name = name
        self.version = version
        self.engine = engine
        models = engine.info().models
        said = (name,) if len(models) == 1 else tuple(model.id for model in models)
        self.models: dict[str, ModelInfo] = {
            each: replace(model, id=each) for each, model in zip(said, models, strict=True)
        }
        """What is served, by what requests say."""
        self._ids = {each: model.id for each, model in zip(said, models, strict=True)}
        self.adapters: dict[str, int] = {}
        """The versions of those that were added since."""
        self._leaving = False
        self._aborted = False
        self._uses = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._running: set[str] = set()

    async def adapt(self, name: str, version: int, uri: str) -> None:
        """Serve a LoRA adapter, too, instead of another version of it if there is one.

        Raises
        ------
        EngineError
            The engine cannot.
        """
        if not isinstance(self.engine, AdaptableEngine):
            raise EngineError(f"adapter_of: the engine of '{self.name}' takes no adapters")
        await self.engine.load_adapter(name, uri)
        (info,) = [model for model in self.engine.info().models if model.id == name]
        self.models[name], self._ids[name] = info, name
        self.adapters[name] = version

    def forget(self, name: str) -> None:
        """Give an adapter nothing new to do."""
        del self.models[name], self.adapters[name]

    async def discard(self, name: str) -> None:
        """Free what a forgotten adapter holds."""
        if isinstance(self.engine, AdaptableEngine):
            try:
                await self.engine.unload_adapter(name)
            except Exception:
                LOGGER.exception("the adapter %s was not unloaded in good order", name)

    async def assemble(self, model: str, messages: Sequence[ChatMessage]) -> HostedPrompt:
        """Render for this member."""
        with self._use():
            prompt = await self.engine.assemble(self._ids[model], messages)
        return HostedPrompt(prompt.token_ids, prompt.text, prompt.estimated, self, prompt)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer.

        Raises
        ------
        UnloadedError
            The member left before the answer's end.
        """
        if request.model not in self.models:
            raise UnloadedError(f"The adapter '{request.model}' was unloaded.")
        own = replace(request, model=self._ids[request.model])
        finished = False
        with self._use(), self._noted(request.request_id):
            async with aclosing(self.engine.generate(own)) as chunks:
                async for chunk in chunks:
                    finished = chunk.finish_reason is not None
                    yield chunk
        if self._aborted and not finished:
            raise self._gone()

    async def retire(self, *, timeout_s: float) -> None:
        """Let what runs end, abort what still runs after `timeout_s`, and close the engine."""
        self._leaving = True
        await self._wait(timeout_s)
        self._aborted = True
        try:
            for request_id in tuple(self._running):
                await self.engine.abort(request_id)
            await self._wait(_ABORTING_S)
        finally:
            await self.engine.close()

    async def _wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    @contextmanager
    def _use(self) -> Iterator[None]:
        if self._aborted:
            raise self._gone()
        self._uses += 1
        self._idle.clear()
        try:
            yield
        except Exception as error:
            if self._aborted or (self._leaving and isinstance(error, EngineDeadError)):
                raise self._gone() from error
            raise
        finally:
            self._uses -= 1
            if not self._uses:
                self._idle.set()

    @contextmanager
    def _noted(self, request_id: str) -> Iterator[None]:
        self._running.add(request_id)
        try:
            yield
        finally:
            self._running.discard(request_id)

    def _gone(self) -> UnloadedError:
        return UnloadedError(f"Version {self.version} of the model '{self.name}' was unloaded.")
