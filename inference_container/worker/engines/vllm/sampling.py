"""vLLM's sampling parameters for a request."""

from collections.abc import Mapping
from typing import Any

from worker.engines.protocol import GenerateRequest, RefusedError
from worker.engines.sampling import given_fields


def sampling_arguments(
    request: GenerateRequest, *, budget: int, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of ``SamplingParams``.

    Parameters
    ----------
    request : GenerateRequest
        Its sampling parameters are translated.
    budget : int
        Tokens that may be generated.
    defaults : Mapping[str, Any]
        The model's own parameters (``generation_config.json``), for what the request leaves open.
    """
    given = given_fields(request.sampling, resumed_at=resumed_at(request))
    if bias := request.sampling.logit_bias:  # vLLM's own API has ids, where OpenAI's has texts
        given["logit_bias"] = {int(token_id): added for token_id, added in bias.items()}
    model_defaults = {name: value for name, value in defaults.items() if name != "max_tokens"}
    return {**model_defaults, **given, "max_tokens": budget, "detokenize": False}


def resumed_at(request: GenerateRequest) -> int:
    """Return after how many tokens of the answer vLLM continues.

    Structured output is generated from its beginning: a grammar cannot start in the middle.
    """
    return 0 if request.text_format else len(request.generated_token_ids)


def output_constraint(text_format: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``StructuredOutputsParams``.

    Raises
    ------
    RefusedError
        The format is unknown.
    """
    match text_format:
        case {"type": "json_schema", "schema": dict() as schema}:
            return {"json": schema}
        case {"type": "json_object"}:
            return {"json_object": True}
    raise RefusedError(
        f"'text.format' {text_format.get('type')!r} is not known: use 'json_schema', "
        "'json_object' or 'text'."
    )
