"""vLLM's streams, event by event."""

from typing import Any

import pytest

from axon.protocol.objects import Usage
from worker.engines.openai.completions import CompletionsAnswer
from worker.engines.protocol import GenerateRequest, ModelInfo, Prompt, Sampling, TokenChunk

MODEL = ModelInfo(id="m", context_window=100, max_output_tokens=100)


def answer(*, stop: tuple[str, ...] = (), known: tuple[int, ...] = ()) -> CompletionsAnswer:
    sampling = Sampling(max_tokens=10, stop=stop, seed=5)
    return CompletionsAnswer(GenerateRequest("r", "m", Prompt((1, 2), ""), sampling, known), MODEL)


def event(text: str, *ids: int, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"text": text, "token_ids": list(ids), **choice}]}


def usage_of(cached: object) -> dict[str, Any]:
    return {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": cached}}


def test_completions_answer_keeps_tokens_of_an_incomplete_character() -> None:
    made = answer()
    assert made.take(event("", 7)) is None
    assert made.take(event("é", 8)) == TokenChunk("é", (7, 8))
    assert made.take(event("", 9, 3, finish_reason="stop")) is None
    assert made.last() == TokenChunk("", (9,), "stop")


def test_completions_answer_drops_the_end_token_only() -> None:
    ended, cut = answer(), answer()
    ended.take(event("", 3, finish_reason="stop", stop_reason=None))
    cut.take(event("a", 3, finish_reason="length"))
    assert ended.last() == TokenChunk("", (), "stop")
    assert cut.last() == TokenChunk("a", (3,), "length")


def test_completions_answer_hides_a_stop_string_across_tokens() -> None:
    made = answer(stop=("END", "###"))
    assert made.take(event("a E", 4)) is None
    assert made.take(event("NO b", 5)) == TokenChunk("a ENO b", (4, 5))
    assert made.take(event(" EN", 6)) is None
    made.take(event("D", 7, finish_reason="stop", stop_reason="END"))
    assert made.last() == TokenChunk(" ", (6, 7), "stop", stop="END")


def test_completions_answer_shows_an_incomplete_stop_string_at_the_end() -> None:
    made = answer(stop=("END",))
    made.take(event("EN", 6, finish_reason="length"))
    assert made.last() == TokenChunk("EN", (6,), "length")


def test_completions_answer_ends_at_a_stop_string_that_the_upstream_misses() -> None:
    """It sees only what it generates itself, and may choose another of several."""
    made = answer(stop=("END",))
    assert made.take(event("a END b", 4)) is None
    assert made.full
    assert made.call() is None
    assert made.last() == TokenChunk("a ", (4,), "stop", stop="END")


def test_completions_answer_asks_again_for_buffered_text_of_a_broken_stream() -> None:
    made = answer(known=(4,))
    made.take(event("a", 5))
    made.take(event("", 6))
    call = made.call()
    assert call is not None
    assert call.path == "completions"
    assert call.body["prompt"] == [1, 2, 4, 5]
    assert call.body["max_tokens"] == 8
    assert call.body["seed"] == 7
    assert made.take(event("b", 9)) == TokenChunk("b", (9,))


def test_completions_answer_at_its_limit_needs_no_call() -> None:
    made = answer(known=tuple(range(10)))
    assert made.call() is None
    assert made.last() == TokenChunk("", (), "length")


@pytest.mark.parametrize(("told", "cached"), [(1, 1), ("2", 2), (9, 2)])
def test_completions_answer_has_the_cached_tokens_in_its_usage(told: object, cached: int) -> None:
    made = answer(known=(4,))
    call = made.call()
    assert call is not None
    assert call.body["stream_options"] == {"include_usage": True}
    made.take(event("a", 5))
    made.take(event("b", 6, finish_reason="length"))
    assert made.take({"choices": [], "usage": usage_of(told)}) is None
    assert made.last().usage == Usage(input_tokens=2, output_tokens=3, cached_tokens=cached)


@pytest.mark.parametrize("told", [None, 0, -1, "many", [3], {"a": 1}])
def test_completions_answer_leaves_usage_to_its_ids_if_nothing_was_cached(told: object) -> None:
    made = answer()
    made.take(event("a", 5, finish_reason="length"))
    for usage in (usage_of(told), {"prompt_tokens_details": told}, told):
        assert made.take({"choices": [], "usage": usage}) is None
    assert made.last().usage is None
