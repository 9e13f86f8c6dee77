import pytest

from worker.engines.protocol import GenerateRequest, Prompt, RefusedError, Sampling
from worker.engines.vllm.sampling import output_constraint, resumed_at, sampling_arguments


def arguments(
    sampling: Sampling, *, known: tuple[int, ...] = (), **defaults: object
) -> dict[str, object]:
    request = GenerateRequest("r", "m", Prompt((1,), "hi"), sampling, known)
    return sampling_arguments(request, budget=7, defaults=defaults)


def test_sampling_arguments_prefer_the_request_to_the_models_defaults() -> None:
    found = arguments(
        Sampling(max_tokens=9, temperature=0.0, presence_penalty=0.5),
        temperature=0.6,
        top_p=0.9,
        max_tokens=4096,
    )
    assert found["temperature"] == 0.0
    assert found["presence_penalty"] == 0.5
    assert found["top_p"] == 0.9
    assert found["max_tokens"] == 7


def test_sampling_arguments_have_the_biases_of_token_ids() -> None:
    found = arguments(Sampling(max_tokens=9, top_k=5, logit_bias={"17": -100.0}))
    assert (found["top_k"], found["logit_bias"]) == (5, {17: -100.0})


def test_sampling_arguments_leave_the_rest_to_vllm() -> None:
    assert set(arguments(Sampling(max_tokens=9))) == {"max_tokens", "detokenize"}


def test_sampling_arguments_shift_the_seed_of_a_continuation() -> None:
    sampling = Sampling(max_tokens=9, seed=2**32 - 1)
    assert arguments(sampling)["seed"] == 2**32 - 1
    assert arguments(sampling, known=(5, 6))["seed"] == 1


def test_structured_output_is_generated_from_its_beginning() -> None:
    request = GenerateRequest(
        "r", "m", Prompt((1,), "hi"), Sampling(max_tokens=9, seed=3), (5, 6),
        text_format={"type": "json_object"},
    )  # fmt: skip
    assert resumed_at(request) == 0
    assert sampling_arguments(request, budget=7, defaults={})["seed"] == 3


def test_output_constraint_is_in_vllms_terms() -> None:
    schema = {"type": "object"}
    given = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    assert output_constraint(given) == {"json": schema}
    assert output_constraint({"type": "json_object"}) == {"json_object": True}
    with pytest.raises(RefusedError, match=r"'text\.format' 'grammar'"):
        output_constraint({"type": "grammar"})
