"""Which models an upstream serves, and of which kind it is."""

import logging
from collections.abc import Mapping
from typing import Any

from worker.engines.openai.client import UpstreamClient
from worker.engines.openai.upstream import Kind, Upstream
from worker.engines.protocol import EngineError, ModelInfo

LOGGER = logging.getLogger(__name__)

_PROBE = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}


async def served_models(client: UpstreamClient, upstream: Upstream) -> tuple[ModelInfo, ...]:
    """Return the models that the settings name, or else those that the upstream lists.

    Raises
    ------
    EngineError
        It does not tell, or serves none.
    """
    told = await client.get(f"{upstream.url}/models", timeout_s=upstream.connect_timeout_s)
    windows = _windows(told)
    models = upstream.models or tuple(windows)
    if not models:
        raise EngineError(
            f"The upstream {upstream.url} lists no models: name them in AXON_UPSTREAM_MODELS."
        )
    for missing in set(models) - set(windows):
        LOGGER.warning("the upstream does not list the model %s of AXON_UPSTREAM_MODELS", missing)
    return tuple(_info(name, windows.get(name) or upstream.context_window) for name in models)


async def kind_of(client: UpstreamClient, upstream: Upstream, *, model: str) -> Kind:
    """Return the settings' kind, or else what the upstream shows itself to be."""
    if upstream.kind != "auto":
        return upstream.kind
    try:
        told = await client.post(
            f"{upstream.root}/tokenize",
            {"model": model, **_PROBE},
            timeout_s=upstream.connect_timeout_s,
        )
    except EngineError as error:
        LOGGER.info("the upstream tells no token ids (%s)", error)
        return "openai"
    # llama.cpp has a route of this name, too, which knows no messages and finds no tokens in them.
    tells = isinstance(told, dict) and bool(told.get("tokens")) and "max_model_len" in told
    return "vllm" if tells else "openai"


def _windows(told: Any) -> Mapping[str, int | None]:
    """Return each listed model's context window in tokens, None where it is not told."""
    listed = told.get("data") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        raise EngineError("The upstream's /models is no list: check AXON_UPSTREAM_URL.")
    return {
        model["id"]: model.get("max_model_len")
        for model in listed
        if isinstance(model, dict) and isinstance(model.get("id"), str)
    }


def _info(name: str, window: int) -> ModelInfo:
    return ModelInfo(id=name, context_window=window, max_output_tokens=window)
