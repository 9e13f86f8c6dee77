"""LoRA adapters: models that share the weights of one."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from worker.engines.vllm.weights import model_folder


class Adapters:
    """By the name that requests say.

    Parameters
    ----------
    uris
        Each adapter's folder, here or in S3.
    """

    def __init__(self, uris: Mapping[str, str]) -> None:
        self._uris = uris
        self._folders: dict[str, Path] = {}
        self._requests: dict[str, Any] = {}
        self._numbers = count(1)

    @property
    def names(self) -> Sequence[str]:
        """What is served beside the model that all share."""
        return tuple(self._requests)

    def fetch(self, *, cache: Path) -> None:
        """Copy them here; ``EngineError`` if one is not there."""
        for name, uri in self._uris.items():
            self._folders[name] = _folder(uri, cache)

    async def load(self, engine: Any) -> None:
        """Have vLLM read each once: one that does not fit the model is found now."""
        for name, folder in self._folders.items():
            await self._add(engine, name, folder)

    async def add(self, engine: Any, name: str, uri: str, *, cache: Path) -> None:
        """Add an adapter, or replace that of this name; ``EngineError`` if it is not there."""
        folder = await asyncio.to_thread(_folder, uri, cache)
        old = self._requests.get(name)
        await self._add(engine, name, folder)
        if old is not None:
            await engine.remove_lora(old.lora_int_id)

    async def remove(self, engine: Any, name: str) -> None:
        """Remove an adapter; vLLM reads it again for what still runs."""
        if (old := self._requests.pop(name, None)) is not None:
            await engine.remove_lora(old.lora_int_id)

    async def _add(self, engine: Any, name: str, folder: Path) -> None:
        from vllm.lora.request import LoRARequest

        number = next(self._numbers)
        # By its name vLLM knows what it has in its prefix cache: another adapter needs another one.
        request = LoRARequest(f"{name}@{number}", number, str(folder))
        await engine.add_lora(request)
        self._requests[name] = request

    def of(self, model: str) -> Any | None:
        """Return vLLM's ``LoRARequest`` for this model, None for the one that all share."""
        return self._requests.get(model)


def _folder(uri: str, cache: Path) -> Path:
    return model_folder(uri, cache=cache, holds="adapter_config.json")
