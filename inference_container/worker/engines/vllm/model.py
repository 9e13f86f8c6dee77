"""What vLLM is to serve, and the arguments that make it do so."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from axon.settings import VllmSettings
from worker.engines.protocol import EngineError

# Of the settings, those that are not arguments of vLLM under their own name.
_OTHERS = {"model_name", "model_uri", "lora_adapters", "vllm_arguments"}
MODEL_ARGUMENTS = frozenset(VllmSettings.__annotations__) - _OTHERS
"""Settings that are arguments of vLLM's engine."""
_FORMATS = "structured_outputs_config"
_SET_BY_AXON = {"model": "AXON_MODEL_URI", "served_model_name": "AXON_MODEL_NAME"} | {
    name: f"AXON_{name.upper()}" for name in MODEL_ARGUMENTS
}


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmModel:
    """What to serve. `uri`: a local folder or ``s3://bucket/folder``; `name`: what requests say."""

    name: str
    uri: str
    cache: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "models")
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of ``AsyncEngineArgs``."""
    more_arguments: Mapping[str, Any] = field(default_factory=dict)
    """The same, but those that have settings of their own are refused."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """LoRA adapters: what requests say, and where the adapter's folder is."""

    @classmethod
    def of(cls, settings: VllmSettings) -> Self | None:
        """Return what the settings name, None if they do not name a model and its place."""
        if settings.model_name is None or settings.model_uri is None:
            return None
        return cls(
            name=settings.model_name,
            uri=settings.model_uri,
            arguments=settings.model_dump(include=set(MODEL_ARGUMENTS), exclude_none=True),
            more_arguments=settings.vllm_arguments,
            adapters=settings.lora_adapters,
        )


def engine_arguments(model: VllmModel, *, folder: Path, slots: int) -> Any:
    """Return the ``AsyncEngineArgs`` that serve the model from `folder`.

    Raises
    ------
    EngineError
        AXON_VLLM_ARGUMENTS has a name that vLLM does not know, or that Axon sets.
    """
    from vllm.config import StructuredOutputsConfig
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {each.name for each in fields(AsyncEngineArgs)}
    for name in model.more_arguments:
        if setting := _SET_BY_AXON.get(name):
            raise EngineError(f"AXON_VLLM_ARGUMENTS: '{name}' is what {setting} sets")
        if name not in known:
            raise EngineError(f"AXON_VLLM_ARGUMENTS: vLLM has no engine argument '{name}'")
    arguments: dict[str, Any] = {
        "model": str(folder),
        "served_model_name": model.name,
        "max_num_seqs": slots,
        "enable_prefix_caching": True,
        **model.arguments,
        **model.more_arguments,
    }
    if isinstance(given := arguments.get(_FORMATS), dict):  # the one that vLLM takes only whole
        arguments[_FORMATS] = StructuredOutputsConfig(**given)
    return AsyncEngineArgs(**arguments)
