"""LoRA adapters: models that share the weights of one."""

from collections.abc import Mapping
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

    def fetch(self, *, cache: Path) -> None:
        """Copy them here; ``EngineError`` if one is not there."""
        for name, uri in self._uris.items():
            self._folders[name] = model_folder(uri, cache=cache, holds="adapter_config.json")

    async def load(self, engine: Any) -> None:
        """Have vLLM read each once: one that does not fit the model is found now."""
        from vllm.lora.request import LoRARequest

        for number, (name, folder) in enumerate(self._folders.items(), start=1):
            request = LoRARequest(lora_name=name, lora_int_id=number, lora_path=str(folder))
            await engine.add_lora(request)
            self._requests[name] = request

    def of(self, model: str) -> Any | None:
        """Return vLLM's ``LoRARequest`` for this model, None for the one that all share."""
        return self._requests.get(model)
