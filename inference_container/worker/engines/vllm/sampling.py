"""A request's sampling in vLLM's terms."""

from collections.abc import Mapping
from typing import Any

from worker.engines.protocol import GenerateRequest

_SEED_BITS = 32


def sampling_arguments(
    request: GenerateRequest, *, budget: int, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of ``SamplingParams``; `budget` is in tokens.

    What the request leaves open is as the model's own ``generation_config.json`` says
    (`defaults`), else as vLLM's.
    """
    sampling = request.sampling
    asked = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": _seed(sampling.seed, resumed_at=len(request.generated_token_ids)),
    }
    given = {name: value for name, value in asked.items() if value is not None}
    known = {name: value for name, value in defaults.items() if name != "max_tokens"}
    return {**known, **given, "max_tokens": budget, "detokenize": False}


def _seed(seed: int | None, *, resumed_at: int) -> int | None:
    """Shift it: a continuation must not draw again the numbers that its beginning drew."""
    return None if seed is None else (seed + resumed_at) % 2**_SEED_BITS
