"""What engines' own parameters for sampling have in common."""

from typing import Any

from worker.engines.protocol import Sampling

SEED_BITS = 32


def given_fields(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    """Return what a request asks for, by the names that OpenAI's API and vLLM have for it.

    What it leaves open is not there. `resumed_at`: the tokens that the generation begins after.
    """
    seed = sampling.seed
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": None if seed is None else shifted_seed(seed, resumed_at=resumed_at),
    }
    return {name: value for name, value in fields.items() if value is not None}


def shifted_seed(seed: int, *, resumed_at: int) -> int:
    """Return a continuation's seed: it must not draw again the numbers that its beginning drew."""
    return (seed + resumed_at) % (1 << SEED_BITS)
