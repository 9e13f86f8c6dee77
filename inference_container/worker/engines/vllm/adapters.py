"""LoRA adapters of a vLLM engine: models that share the weights of one."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from worker.engines.vllm.safety import Trust
from worker.engines.vllm.weights import model_folder


class Adapters:
    """The adapters of one engine, by the names that requests use.

    Parameters
    ----------
    uris : Mapping[str, str]
        Folder of each adapter that is loaded at the start: a local path or ``s3://bucket/folder``.
    trust : Trust
        Which of their files may be copied and loaded: without safetensors vLLM would load a pickle.
    """

    def __init__(self, uris: Mapping[str, str], *, trust: Trust) -> None:
        self._uris = uris
        self._trust = trust
        self._folders: dict[str, Path] = {}
        self._lora_requests: dict[str, Any] = {}
        self._numbers = count(1)

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the adapters that are served."""
        return tuple(self._lora_requests)

    def fetch(self, *, cache: Path) -> None:
        """Copy the adapters of the start from S3; this blocks.

        Raises
        ------
        EngineError
            One of them does not exist.
        """
        for name, uri in self._uris.items():
            self._folders[name] = self._folder(uri, cache)

    async def load(self, engine: Any) -> None:
        """Load the adapters of the start; vLLM raises if one does not fit the model."""
        for name, folder in self._folders.items():
            await self._add(engine, name, folder)

    async def add(self, engine: Any, name: str, uri: str, *, cache: Path) -> None:
        """Load an adapter; swap it for the one of this name if there is one.

        Raises
        ------
        EngineError
            It does not exist.
        """
        folder = await asyncio.to_thread(self._folder, uri, cache)
        previous = self._lora_requests.get(name)
        await self._add(engine, name, folder)
        if previous is not None:
            await engine.remove_lora(previous.lora_int_id)

    async def remove(self, engine: Any, name: str) -> None:
        """Unload an adapter; vLLM loads it again for requests that still run."""
        if (previous := self._lora_requests.pop(name, None)) is not None:
            await engine.remove_lora(previous.lora_int_id)

    async def _add(self, engine: Any, name: str, folder: Path) -> None:
        from vllm.lora.request import LoRARequest

        number = next(self._numbers)
        # vLLM's prefix cache identifies an adapter by its name: a new version needs a new name, or
        # its prompts would be continued from the cache of the version before.
        request = LoRARequest(f"{name}@{number}", number, str(folder))
        await engine.add_lora(request)
        self._lora_requests[name] = request

    def of(self, model: str) -> Any | None:
        """Return vLLM's ``LoRARequest`` for an adapter, None for the base model."""
        return self._lora_requests.get(model)

    def _folder(self, uri: str, cache: Path) -> Path:
        return model_folder(
            uri,
            cache=cache,
            trust=self._trust,
            must_contain="adapter_config.json",
            weights="adapter_model.safetensors",
        )
