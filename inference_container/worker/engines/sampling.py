"""Sampling parameters that engines have in common."""

from typing import Any

from worker.engines.protocol import Sampling

SEED_BITS = 32
"""Bits of a seed; a shifted seed wraps around."""


def given_fields(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    """Return the sampling that a request asks for, by the names of OpenAI's API and of vLLM.

    Parameters
    ----------
    sampling : Sampling
        What it leaves open (None) is left out.
    resumed_at : int
        Number of tokens of the answer after which the generation begins.
    """
    seed = sampling.seed
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "top_k": sampling.top_k,
        "logit_bias": dict(sampling.logit_bias) or None,
        "seed": None if seed is None else shifted_seed(seed, resumed_at=resumed_at),
    }
    return {name: value for name, value in fields.items() if value is not None}


def shifted_seed(seed: int, *, resumed_at: int) -> int:
    """Return the seed for a generation that continues after `resumed_at` tokens.

    With the same seed it would draw the same random numbers again as the beginning of the answer.
    """
    return (seed + resumed_at) % (1 << SEED_BITS)
