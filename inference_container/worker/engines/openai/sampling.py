"""A request's sampling in the API's terms."""

from typing import Any

from worker.engines.protocol import Sampling

_SEED_BITS = 32


def sampling_fields(sampling: Sampling, *, resumed_at: int) -> dict[str, Any]:
    """Return the body's fields, without those that are left to the upstream.

    The seed is shifted: a continuation must not draw again the numbers that its beginning drew.
    """
    seed = sampling.seed
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": None if seed is None else (seed + resumed_at) % 2**_SEED_BITS,
        "stop": list(sampling.stop) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
