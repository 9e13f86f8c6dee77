"""How a model is to be served, as the operator says it: some of the engine's settings."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from axon.exceptions import SettingsError
from axon.settings import EngineSettings, VllmSettings

_ENGINE = {"engine", "slots", "echo_ttft_ms", "echo_token_ms"}
_UPSTREAM = {name for name in EngineSettings.model_fields if name.startswith("upstream_")}
_VLLM = VllmSettings.__annotations__.keys() - {"model_name"}

_ADAPTER_OF = "adapter_of"
_ADAPTER = {_ADAPTER_OF, "model_uri"}

FIELDS = frozenset(_ENGINE | _VLLM | (_UPSTREAM - {"upstream_api_key"}) | _ADAPTER)
"""What may be said. Secrets are the deployment's: what is said here is kept and shown."""

_NEEDS = {"vllm": "model_uri", "openai": "upstream_url"}
_IN_PLACE = "in_place"


def packed(settings: Mapping[str, Any], *, in_place: bool) -> dict[str, Any]:
    """Return what is kept of a model: its settings, and whether the old one goes before it comes.

    With `in_place` it may take the memory of the one that it replaces; nobody serves the model
    meanwhile.
    """
    return {**settings, _IN_PLACE: True} if in_place else dict(settings)


def unpacked(kept: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the settings and `in_place` of what `packed` made."""
    settings = dict(kept)
    return settings, bool(settings.pop(_IN_PLACE, False))


def adapter_of(settings: Mapping[str, Any]) -> str | None:
    """Return the model to whose engine this one is added as a LoRA adapter, None if it has one."""
    base: str | None = settings.get(_ADAPTER_OF)
    return base


def engine_settings(name: str, settings: Mapping[str, Any]) -> EngineSettings:
    """Return the settings of an engine that serves this model.

    Of an adapter (`adapter_of`), which has none, those are that say where it is.

    Raises
    ------
    SettingsError
        One line that names every wrong field.
    """
    if unknown := sorted(settings.keys() - FIELDS):
        known = ", ".join(sorted(FIELDS))
        raise SettingsError(f"{', '.join(unknown)}: no such setting; use {known}")
    if _ADAPTER_OF in settings:
        settings = _checked(name, settings)
    if "engine" not in settings:
        raise SettingsError("engine: must be said: echo, smollm2, vllm or openai")
    try:
        valid = EngineSettings.model_validate({**settings, "model_name": name})
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError("; ".join(wrong)) from error
    if (needed := _NEEDS.get(valid.engine)) and getattr(valid, needed) is None:
        raise SettingsError(f"{needed}: must be said for the engine {valid.engine}")
    if isinstance(valid.vllm_arguments.get("hf_token"), str):
        raise SettingsError("vllm_arguments: hf_token is a secret, and what is said here is shown")
    return valid


def _checked(name: str, adapter: Mapping[str, Any]) -> Mapping[str, Any]:
    if others := sorted(adapter.keys() - _ADAPTER):
        raise SettingsError(f"{', '.join(others)}: an adapter has only adapter_of and model_uri")
    base = adapter[_ADAPTER_OF]
    if not isinstance(base, str) or base in ("", name):
        raise SettingsError("adapter_of: must be the name of another model")
    return {"engine": "vllm", "model_uri": adapter.get("model_uri")}
