"""One engine of the host, with the requests that use it and its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from worker.engines.adaptable import AdaptableEngine
from worker.engines.protocol import (
    ChatMessage,
    Engine,
    EngineDeadError,
    EngineError,
    GenerateRequest,
    ModelInfo,
    Prompt,
    TokenChunk,
    ToolSpec,
    UnloadedError,
)
from worker.models.bounded_calls import EngineHangsError, bounded

logger = logging.getLogger(__name__)

_ABORT_TIMEOUT_S = 5.0
"""Seconds that aborted generations may take to end before the engine is closed under them."""
CLOSE_TIMEOUT_S = 20.0
"""Seconds that an engine may take to close: vLLM waits up to 10 s for its processes."""


@dataclass(frozen=True, slots=True)
class HostedPrompt(Prompt):
    """A prompt in the tokens of one engine, which mean nothing to another.

    Parameters
    ----------
    loaded : LoadedEngine | None
        The engine that rendered the prompt.
    engine_prompt : Prompt
        The prompt as that engine returned it.
    """

    loaded: "LoadedEngine | None" = field(default=None, compare=False, repr=False)
    engine_prompt: Prompt = field(default=Prompt((), ""), compare=False, repr=False)


class LoadedEngine:
    """A started engine that serves a model under its declared name.

    An engine of several models serves them under their own names.

    Its end has two steps. While it drains, running generations go on, and prompts that it has
    rendered may still be generated. Then it is aborted: whatever is left ends with `UnloadedError`,
    so that the attempt is made again on another engine, instead of ending the response.

    Attributes
    ----------
    models : dict[str, ModelInfo]
        The models served, by the names that requests use.
    adapters : dict[str, int]
        Versions of the adapters that were loaded since the start, by name.
    """

    def __init__(self, name: str, version: int, engine: Engine) -> None:
        self.name = name
        self.version = version
        self.engine = engine
        models = engine.info().models
        served = (name,) if len(models) == 1 else tuple(model.id for model in models)
        self.models: dict[str, ModelInfo] = {
            each: replace(model, id=each) for each, model in zip(served, models, strict=True)
        }
        self._engine_names = {each: model.id for each, model in zip(served, models, strict=True)}
        self.adapters: dict[str, int] = {}
        self._draining = False
        self._aborted = False
        self._uses = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._running: set[str] = set()
        self._progress_at = 0.0
        self._hang: str | None = None
        self._stall: str | None = None

    def hang(self, *, stall_s: float) -> str | None:
        """Return what the engine does not do though it should; None if it does not hang.

        Parameters
        ----------
        stall_s : float
            Seconds without a token of any generation after which a running engine hangs. One
            generation alone may wait longer, for memory that others use.
        """
        silent_s = _now() - self._progress_at
        if self._stall is None and self._running and silent_s > stall_s:
            self._stall = (
                f"{self.name} gave no token for {silent_s:.0f} s to {len(self._running)} requests"
            )
        return self._hang or self._stall

    def excuse_silence(self) -> None:
        """Count from now on how long the engine has given no token."""
        # A health check may have looked before the watchdog noticed that the process was stopped.
        self._progress_at, self._stall = _now(), None

    async def load_adapter(self, name: str, version: int, uri: str) -> None:
        """Serve a LoRA adapter; swap it for another version if one is served.

        Raises
        ------
        EngineError
            The engine takes no adapters, or not this one.
        """
        if not isinstance(self.engine, AdaptableEngine):
            raise EngineError(f"adapter_of: the engine of '{self.name}' takes no adapters")
        await self.engine.load_adapter(name, uri)
        (info,) = [model for model in self.engine.info().models if model.id == name]
        self.models[name], self._engine_names[name] = info, name
        self.adapters[name] = version

    def remove_adapter(self, name: str) -> None:
        """Accept no further requests for an adapter."""
        del self.models[name], self.adapters[name]

    async def unload_adapter(self, name: str) -> None:
        """Free the memory of an adapter that was removed."""
        if isinstance(self.engine, AdaptableEngine):
            try:
                unloading = self.engine.unload_adapter(name)
                await self._bounded(unloading, within_s=CLOSE_TIMEOUT_S, what="unload an adapter")
            except Exception:
                logger.exception("the adapter %s could not be unloaded", name)

    async def assemble(
        self, model: str, messages: Sequence[ChatMessage], *, tools: Sequence[ToolSpec] = ()
    ) -> HostedPrompt:
        """Render a prompt, which only this engine can generate from."""
        with self._in_use():
            prompt = await self.engine.assemble(self._engine_names[model], messages, tools=tools)
        return HostedPrompt(prompt.token_ids, prompt.text, prompt.estimated, self, prompt)

    async def prepare(self, request: GenerateRequest) -> None:
        """Check a request before it waits for a slot."""
        own = self._own(request)
        with self._in_use():
            await self.engine.prepare(own)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        """Stream the answer.

        Raises
        ------
        UnloadedError
            The engine was unloaded before the answer's end.
        """
        own = self._own(request)
        finished = False
        with self._in_use(), self._abortable(request.request_id):
            async with aclosing(self.engine.generate(own)) as chunks:
                async for chunk in chunks:
                    finished = chunk.finish_reason is not None
                    self._progress_at = _now()
                    yield chunk
        # An aborted generation just stops. Without the error the answer would seem complete.
        if self._aborted and not finished:
            raise self._unloaded_error()

    def _own(self, request: GenerateRequest) -> GenerateRequest:
        """Return the request with the engine's own name of the model."""
        if request.model not in self.models:
            raise UnloadedError(f"The adapter '{request.model}' was unloaded.")
        name = self._engine_names[request.model]
        return request if name == request.model else replace(request, model=name)

    async def drain(self, *, timeout_s: float) -> None:
        """Wait for running generations, abort them after `timeout_s`, and close the engine."""
        self._draining = True
        await self._wait_until_idle(timeout_s)
        self._aborted = True
        try:
            await self._bounded(self._abort_running(), within_s=_ABORT_TIMEOUT_S, what="abort")
            await self._wait_until_idle(_ABORT_TIMEOUT_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the engine.

        Raises
        ------
        EngineHangsError
            It does not close in time; `hang` says so from now on.
        """
        await self._bounded(self.engine.close(), within_s=CLOSE_TIMEOUT_S, what="close")

    async def _abort_running(self) -> None:
        for request_id in tuple(self._running):
            await self.engine.abort(request_id)

    async def _bounded(
        self, call: Coroutine[Any, Any, None], *, within_s: float, what: str
    ) -> None:
        try:
            await bounded(call, within_s=within_s, what=what)
        except EngineHangsError as error:
            self._hang = f"{self.name}: {error}"
            raise

    async def _wait_until_idle(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._aborted:
            raise self._unloaded_error()
        self._uses += 1
        self._idle.clear()
        try:
            yield
        except Exception as error:
            # A dead engine ends the worker's process. One that was to end anyway must not: the
            # worker's other models are fine.
            if self._aborted or (self._draining and isinstance(error, EngineDeadError)):
                raise self._unloaded_error() from error
            raise
        finally:
            self._uses -= 1
            if not self._uses:
                self._idle.set()

    @contextmanager
    def _abortable(self, request_id: str) -> Iterator[None]:
        if not self._running:
            self._progress_at = _now()
        self._running.add(request_id)
        try:
            yield
        except Exception:
            # An engine that refuses or fails a request responds. One whose generations only get
            # cancelled may hang all the same: that is no progress.
            self._progress_at = _now()
            raise
        finally:
            self._running.discard(request_id)

    def _unloaded_error(self) -> UnloadedError:
        return UnloadedError(f"Version {self.version} of the model '{self.name}' was unloaded.")


def _now() -> float:
    return asyncio.get_running_loop().time()
