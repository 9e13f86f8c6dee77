"""Loading a model into vLLM while other engines serve."""

import asyncio
from pathlib import Path
from threading import Thread
from typing import Any

from worker.engines.vllm.model import VllmModel, engine_arguments


async def load(model: VllmModel, *, folder: Path, slots: int) -> Any:
    """Return an ``AsyncLLM`` that is ready.

    Loading takes minutes, so it runs in a thread. It cannot be interrupted: if this coroutine is
    cancelled, the engine is shut down as soon as it has been loaded.
    """
    loading = asyncio.get_running_loop().run_in_executor(None, _load, model, folder, slots)
    try:
        return await asyncio.shield(loading)
    except asyncio.CancelledError:
        loading.add_done_callback(_discard)
        raise


def _load(model: VllmModel, folder: Path, slots: int) -> Any:
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(engine_arguments(model, folder=folder, slots=slots))


def _discard(loading: "asyncio.Future[Any]") -> None:
    if not loading.cancelled() and loading.exception() is None:
        Thread(target=loading.result().shutdown, daemon=True).start()
