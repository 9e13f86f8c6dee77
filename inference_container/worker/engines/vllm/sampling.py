"""A request's sampling in vLLM's terms."""

from collections.abc import Mapping
from typing import Any

from worker.engines.protocol import GenerateRequest, RefusedError
from worker.engines.sampling import given_fields


def sampling_arguments(
    request: GenerateRequest, *, budget: int, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of ``SamplingParams``; `budget` is in tokens.

    What the request leaves open is as the model's own ``generation_config.json`` says
    (`defaults`), else as vLLM's.
    """
    given = given_fields(request.sampling, resumed_at=resumed_at(request))
    known = {name: value for name, value in defaults.items() if name != "max_tokens"}
    return {**known, **given, "max_tokens": budget, "detokenize": False}


def resumed_at(request: GenerateRequest) -> int:
    """Return after how many tokens of its answer vLLM goes on.

    An answer in a format is generated from its beginning: a grammar cannot begin in the middle.
    """
    return 0 if request.text_format else len(request.generated_token_ids)


def output_constraint(text_format: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``StructuredOutputsParams``; ``RefusedError`` if there are none."""
    match text_format:
        case {"type": "json_schema", "schema": dict() as schema}:
            return {"json": schema}
        case {"type": "json_object"}:
            return {"json_object": True}
    raise RefusedError(
        f"'text.format' {text_format.get('type')!r} is not known: use 'json_schema', "
        "'json_object' or 'text'."
    )
