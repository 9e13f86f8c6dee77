"""A model's desired settings: those engine settings that the operator may give for it."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from axon.engine_settings import EngineSettings, VllmSettings
from axon.exceptions import SettingsError
from axon.upstream_hosts import UpstreamHosts

_ENGINE = {
    "engine", "slots", "echo_ttft_ms", "echo_token_ms", "call_format", "reasoning_format",
}  # fmt: skip
_UPSTREAM = {name for name in EngineSettings.model_fields if name.startswith("upstream_")}
_VLLM = VllmSettings.__annotations__.keys() - {"model_name"}

_ADAPTER_OF = "adapter_of"
_ADAPTER = {_ADAPTER_OF, "model_uri"}

_DEPLOYMENTS = {"upstream_api_key", "upstream_hosts"}
FIELDS = frozenset(_ENGINE | _VLLM | (_UPSTREAM - _DEPLOYMENTS) | _ADAPTER)
"""Names of the allowed settings. None is a secret: they are stored and shown as they are. None
says whom to trust: that is the deployment's."""

_NEEDS = {"vllm": "model_uri", "openai": "upstream_url"}
_IN_PLACE = "in_place"
_NO_HOSTS = UpstreamHosts()


def packed(settings: Mapping[str, Any], *, in_place: bool) -> dict[str, Any]:
    """Return the settings of a model as they are stored, with `in_place` among them.

    Parameters
    ----------
    in_place : bool
        True: unload the old version before the new one is loaded, which then has its memory; in
        between no worker serves the model.
    """
    return {**settings, _IN_PLACE: True} if in_place else dict(settings)


def unpacked(kept: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the settings and `in_place` of what `packed` returned."""
    settings = dict(kept)
    return settings, bool(settings.pop(_IN_PLACE, False))


def adapter_of(settings: Mapping[str, Any]) -> str | None:
    """Return the base model of a LoRA adapter; None for a model with an engine of its own."""
    base: str | None = settings.get(_ADAPTER_OF)
    return base


def engine_settings(
    name: str, settings: Mapping[str, Any], *, hosts: UpstreamHosts = _NO_HOSTS
) -> EngineSettings:
    """Return the settings of an engine that serves this model.

    An adapter (`adapter_of`) has no engine of its own; its settings say only where it is.

    Parameters
    ----------
    name : str
        The model's declared name.
    settings : Mapping[str, Any]
        What the operator set.
    hosts : UpstreamHosts
        Hosts that the deployment allows for upstreams; none by default.

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
    _check_trust(valid, hosts)
    return valid


def _check_trust(settings: EngineSettings, hosts: UpstreamHosts) -> None:
    if isinstance(settings.vllm_arguments.get("hf_token"), str):
        raise SettingsError("vllm_arguments: hf_token is a secret, and what is said here is shown")
    if "trust_remote_code" in settings.vllm_arguments:
        raise SettingsError(
            "vllm_arguments: trust_remote_code lets a model's folder run code, which only the "
            "deployment can allow: AXON_TRUST_REMOTE_CODE"
        )
    if settings.upstream_url is not None and not hosts.allow(settings.upstream_url):
        raise SettingsError(
            f"upstream_url: {settings.upstream_url} names a host that the deployment does not "
            "allow: AXON_UPSTREAM_HOSTS"
        )


def _checked(name: str, adapter: Mapping[str, Any]) -> Mapping[str, Any]:
    if others := sorted(adapter.keys() - _ADAPTER):
        raise SettingsError(f"{', '.join(others)}: an adapter has only adapter_of and model_uri")
    base = adapter[_ADAPTER_OF]
    if not isinstance(base, str) or base in ("", name):
        raise SettingsError("adapter_of: must be the name of another model")
    return {"engine": "vllm", "model_uri": adapter.get("model_uri")}
