"""OpenVINO's generation parameters for a request."""

import secrets
from collections.abc import Collection
from typing import Any

from worker.engines.protocol import GenerateRequest, Sampling
from worker.engines.sampling import SEED_BITS, shifted_seed

_REPETITION_PENALTY = 1.07
"""Without a penalty the small model repeats itself."""
_MIN_TEMPERATURE = 0.01
"""Below this, a division by the temperature would overflow; the choice is greedy anyway."""


def generation_config(
    request: GenerateRequest, *, budget: int, stop_token_ids: Collection[int]
) -> dict[str, Any]:
    """Return the arguments of ``GenerationConfig``, as JSON values.

    Greedy unless a temperature, top_p or top_k asks for sampling.

    Parameters
    ----------
    request : GenerateRequest
        Its sampling parameters are translated.
    budget : int
        Tokens that may still be generated.
    stop_token_ids : Collection[int]
        Tokens that end an answer.
    """
    return {
        "max_new_tokens": budget,
        "stop_token_ids": sorted(stop_token_ids),
        "repetition_penalty": _REPETITION_PENALTY,
        "presence_penalty": request.sampling.presence_penalty or 0.0,
        "frequency_penalty": request.sampling.frequency_penalty or 0.0,
        **_choice(request.sampling, resumed_at=len(request.generated_token_ids)),
    }


def _choice(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    if sampling.temperature is None and sampling.top_p is None and sampling.top_k is None:
        return {"do_sample": False}
    temperature = 1.0 if sampling.temperature is None else sampling.temperature
    top_p = 1.0 if sampling.top_p is None else sampling.top_p
    if temperature < _MIN_TEMPERATURE or top_p <= 0:
        return {"do_sample": False}
    seed = secrets.randbits(SEED_BITS) if sampling.seed is None else sampling.seed
    return {
        "do_sample": True,
        "temperature": temperature,
        "top_p": top_p,
        **({} if sampling.top_k is None else {"top_k": sampling.top_k}),
        "rng_seed": shifted_seed(seed, resumed_at=resumed_at),
    }
