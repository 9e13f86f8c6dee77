"""The model that vLLM serves, and the engine arguments for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from axon.engine_settings import EngineSettings, VllmSettings
from worker.engines.private_cache import cache_folder
from worker.engines.protocol import EngineError
from worker.engines.vllm.safety import Trust

# Settings that are not arguments of vLLM under the same name.
_NOT_ARGUMENTS = {"model_name", "model_uri", "lora_adapters", "vllm_arguments"}
MODEL_ARGUMENTS = frozenset(VllmSettings.__annotations__) - _NOT_ARGUMENTS
"""Settings that are arguments of vLLM's engine."""
_STRUCTURED_OUTPUTS = "structured_outputs_config"
_SET_BY_AXON = {
    "model": "AXON_MODEL_URI",
    "served_model_name": "AXON_MODEL_NAME",
    "trust_remote_code": "AXON_TRUST_REMOTE_CODE",
} | {name: f"AXON_{name.upper()}" for name in MODEL_ARGUMENTS}


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmModel:
    """A model and its engine arguments.

    Parameters
    ----------
    name : str
        The name that requests use.
    uri : str
        A local folder, or ``s3://bucket/folder``.
    cache : Path
        Folder for copies from S3.
    arguments : Mapping[str, Any]
        Arguments of ``AsyncEngineArgs`` from settings of their own.
    more_arguments : Mapping[str, Any]
        Further ones from AXON_VLLM_ARGUMENTS; those that have settings of their own are refused.
    adapters : Mapping[str, str]
        Folder of each LoRA adapter, by the name that requests use.
    trust : Trust
        What the operator allows the folders of model and adapters to do.
    """

    name: str
    uri: str
    cache: Path = field(default_factory=cache_folder)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    more_arguments: Mapping[str, Any] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)

    @classmethod
    def of(cls, settings: EngineSettings) -> Self | None:
        """Return the model that the settings name, None without a name and a URI."""
        if settings.model_name is None or settings.model_uri is None:
            return None
        return cls(
            name=settings.model_name,
            uri=settings.model_uri,
            arguments=settings.model_dump(include=set(MODEL_ARGUMENTS), exclude_none=True),
            more_arguments=settings.vllm_arguments,
            adapters=settings.lora_adapters,
            trust=Trust(
                code=settings.trust_remote_code,
                pickles=settings.allow_pickled_weights,
                unverified=settings.allow_unverified_weights,
            ),
        )

    @property
    def weights(self) -> str | None:
        """Pattern of the names of the weights that vLLM loads; None if it makes them up."""
        return None if self.more_arguments.get("load_format") == "dummy" else "*.safetensors"


def engine_arguments(model: VllmModel, *, folder: Path, slots: int) -> Any:
    """Return the ``AsyncEngineArgs`` that serve the model from `folder`.

    Raises
    ------
    EngineError
        AXON_VLLM_ARGUMENTS has a name that vLLM does not know, or that Axon sets, or a load format
        that may run code.
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
        **model.trust.arguments(model.more_arguments),
    }
    if isinstance(
        given := arguments.get(_STRUCTURED_OUTPUTS), dict
    ):  # vLLM accepts a dict for every other one
        arguments[_STRUCTURED_OUTPUTS] = StructuredOutputsConfig(**given)
    return AsyncEngineArgs(**arguments)
