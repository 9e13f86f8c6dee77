from typing import Any

import pytest

from worker.engines.openvino.sampling import generation_config
from worker.engines.protocol import GenerateRequest, Prompt, Sampling


def config(known: int = 0, **sampling: Any) -> dict[str, Any]:
    request = GenerateRequest(
        "r", "m", Prompt((1,), ""), Sampling(100, **sampling), generated_token_ids=(1,) * known
    )
    return generation_config(request, budget=7, stop_token_ids={2, 0})


def test_generation_config_is_greedy_with_a_repetition_penalty_by_default() -> None:
    assert config() == {
        "max_new_tokens": 7,
        "stop_token_ids": [0, 2],
        "repetition_penalty": pytest.approx(1.07),
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "do_sample": False,
    }


@pytest.mark.parametrize(
    "sampling", [{"temperature": 0.0}, {"temperature": 1e-30}, {"temperature": 1.0, "top_p": 0.0}]
)
def test_generation_config_is_greedy_where_openvino_would_refuse_the_values(
    sampling: dict[str, Any],
) -> None:
    assert config(**sampling)["do_sample"] is False


def test_generation_config_samples_from_the_most_probable_tokens() -> None:
    sampled = config(top_k=5, seed=7)
    assert (sampled["do_sample"], sampled["top_k"], sampled["rng_seed"]) == (True, 5, 7)
    assert "top_k" not in config(temperature=0.7)


def test_generation_config_samples_if_requested() -> None:
    sampled = config(temperature=0.7, top_p=0.9, presence_penalty=0.5, frequency_penalty=-0.5)
    assert sampled["do_sample"] is True
    assert sampled["temperature"] == 0.7
    assert sampled["top_p"] == 0.9
    assert sampled["presence_penalty"] == 0.5
    assert sampled["frequency_penalty"] == -0.5


def test_generation_config_samples_at_temperature_one_for_top_p_alone() -> None:
    assert (config(top_p=0.5)["temperature"], config(temperature=0.5)["top_p"]) == (1.0, 1.0)


def test_generation_config_uses_the_seed_or_a_random_one() -> None:
    assert config(temperature=1.0, seed=5)["rng_seed"] == 5
    assert config(temperature=1.0)["rng_seed"] != config(temperature=1.0)["rng_seed"]


def test_generation_config_accepts_any_seed() -> None:
    assert config(temperature=1.0, seed=-1)["rng_seed"] == 2**32 - 1
    assert 0 <= config(temperature=1.0, seed=2**80)["rng_seed"] < 2**32


def test_generation_config_shifts_the_seed_of_a_continuation() -> None:
    assert config(temperature=1.0, seed=5, known=3)["rng_seed"] == 8
