from dataclasses import replace
from typing import Any

import pytest

from worker.engines.protocol import (
    ContextOverflowError,
    EngineError,
    GenerateRequest,
    ModelInfo,
    Prompt,
    RefusedError,
    Sampling,
)
from worker.engines.request_checks import (
    find_model,
    refuse_format,
    refuse_sampling,
    token_budget,
)


def request(*, prompt: int, max_tokens: int, known: int = 0) -> GenerateRequest:
    return GenerateRequest(
        "r", "m", Prompt((0,) * prompt, ""), Sampling(max_tokens), generated_token_ids=(0,) * known
    )


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "known", "budget"),
    [(10, 20, 0, 20), (10, 20, 5, 15), (10, 20, 20, 0), (10, 20, 25, 0), (90, 20, 4, 6)],
)
def test_token_budget_is_limited_by_the_request_and_the_window(
    prompt: int, max_tokens: int, known: int, budget: int
) -> None:
    asked = request(prompt=prompt, max_tokens=max_tokens, known=known)
    assert token_budget(asked, context_window=100) == budget


@pytest.mark.parametrize("prompt", [100, 101])
def test_token_budget_refuses_a_prompt_that_fills_the_window(prompt: int) -> None:
    with pytest.raises(ContextOverflowError, match="100"):
        token_budget(request(prompt=prompt, max_tokens=1), context_window=100)


def test_find_model_returns_the_model_or_refuses() -> None:
    models = (ModelInfo("a", 1, 1), ModelInfo("b", 2, 2))
    assert find_model(models, "b") == models[1]
    with pytest.raises(EngineError, match="'c'"):
        find_model(models, "c")


def test_refuse_format_names_the_format() -> None:
    plain = request(prompt=1, max_tokens=1)
    refuse_format(plain)
    with pytest.raises(RefusedError, match=r"'text\.format' 'json_object'"):
        refuse_format(replace(plain, text_format={"type": "json_object"}))


@pytest.mark.parametrize("sampling", [{"top_k": 5}, {"logit_bias": {"17": 0.0}}])
def test_refuse_sampling_names_what_the_engine_does_not_have(sampling: dict[str, Any]) -> None:
    asked = replace(request(prompt=1, max_tokens=1), sampling=Sampling(9, **sampling))
    (name,) = sampling
    refuse_sampling(asked)
    with pytest.raises(RefusedError, match=f"'{name}'. Leave it out"):
        refuse_sampling(asked, "top_k", "logit_bias")
    refuse_sampling(request(prompt=1, max_tokens=1), "top_k", "logit_bias")
