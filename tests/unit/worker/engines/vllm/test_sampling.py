from worker.engines.protocol import GenerateRequest, Prompt, Sampling
from worker.engines.vllm.sampling import sampling_arguments


def arguments(
    sampling: Sampling, *, known: tuple[int, ...] = (), **defaults: object
) -> dict[str, object]:
    request = GenerateRequest("r", "m", Prompt((1,), "hi"), sampling, known)
    return sampling_arguments(request, budget=7, defaults=defaults)


def test_what_the_request_asks_goes_before_the_models_own_defaults() -> None:
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


def test_what_nobody_sets_is_left_to_vllm() -> None:
    assert set(arguments(Sampling(max_tokens=9))) == {"max_tokens", "detokenize"}


def test_a_continuation_does_not_draw_the_same_numbers_again() -> None:
    sampling = Sampling(max_tokens=9, seed=2**32 - 1)
    assert arguments(sampling)["seed"] == 2**32 - 1
    assert arguments(sampling, known=(5, 6))["seed"] == 1
