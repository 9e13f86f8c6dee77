"""Discovery of an upstream's models and of its kind."""

import logging
from collections.abc import Mapping
from typing import Any

from worker.engines.openai.client import UpstreamClient
from worker.engines.openai.shapes import count_of
from worker.engines.openai.upstream import Kind, Upstream
from worker.engines.protocol import EngineError, ModelInfo

logger = logging.getLogger(__name__)

_MAX_NAME = 256
"""Characters of a model's name, as in `axon.models.commands.ModelName`."""
_PROBE = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}


async def served_models(client: UpstreamClient, upstream: Upstream) -> tuple[ModelInfo, ...]:
    """Return the models that the settings name, or else those that the upstream lists.

    Raises
    ------
    EngineError
        The upstream cannot be asked, or there are no models.
    """
    reply = await client.get(f"{upstream.url}/models", timeout_s=upstream.connect_timeout_s)
    windows = _windows(reply)
    models = upstream.models or tuple(windows)
    if not models:
        raise EngineError(
            f"The upstream {upstream.url} lists no models: name them in AXON_UPSTREAM_MODELS."
        )
    for missing in set(models) - set(windows):
        logger.warning("the upstream does not list the model %s of AXON_UPSTREAM_MODELS", missing)
    return tuple(_info(name, windows.get(name) or upstream.context_window) for name in models)


async def detect_kind(client: UpstreamClient, upstream: Upstream, *, model: str) -> Kind:
    """Return the kind that the settings name, or else what a probe of ``/tokenize`` shows."""
    if upstream.kind != "auto":
        return upstream.kind
    try:
        reply = await client.post(
            f"{upstream.root}/tokenize",
            {"model": model, **_PROBE},
            timeout_s=upstream.connect_timeout_s,
        )
    except EngineError as error:
        logger.info("the upstream returns no token ids (%s)", error)
        return "openai"
    # llama.cpp has such a route as well, but it ignores the messages and returns no tokens.
    returns_ids = isinstance(reply, dict) and bool(reply.get("tokens")) and "max_model_len" in reply
    return "vllm" if returns_ids else "openai"


def _windows(reply: Any) -> Mapping[str, int | None]:
    """Return each listed model's context window in tokens; None where the upstream omits it."""
    listed = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(listed, list):
        raise EngineError("The upstream's /models is no list: check AXON_UPSTREAM_URL.")
    return {
        model["id"]: count_of(model.get("max_model_len")) or None
        for model in listed
        if isinstance(model, dict) and _is_name(model.get("id"))
    }


def _is_name(value: object) -> bool:
    """Return whether requests and one line of a listing can say this name."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()


def _info(name: str, window: int) -> ModelInfo:
    return ModelInfo(id=name, context_window=window, max_output_tokens=window)
