"""Stop strings in what an upstream tells as text."""

from typing import Any

from axon.protocol.objects import Usage
from worker.engines.openai.chat_completions import ChatAnswer
from worker.engines.openai.text_ids import ids_of
from worker.engines.protocol import GenerateRequest, ModelInfo, Prompt, Sampling, TokenChunk

MODEL = ModelInfo(id="m", context_window=100, max_output_tokens=100)


def answer(known: str = "") -> ChatAnswer:
    sampling = Sampling(max_tokens=10, stop=("END",))
    ids = ids_of(known) if known else ()
    return ChatAnswer(GenerateRequest("r", "m", Prompt((0,), "[]"), sampling, ids), MODEL)


def event(text: str, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, **choice}]}


def test_the_upstream_is_told_and_its_usage_kept_where_it_stops_itself() -> None:
    made = answer()
    call = made.call()
    assert call is not None
    assert call.body["stop"] == ["END"]
    assert made.take(event("a ")) == TokenChunk("a ", ids_of("a "))
    made.take(event("", finish_reason="stop"))
    made.take({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    assert made.last() == TokenChunk("", (), "stop", Usage(input_tokens=3, output_tokens=2))


def test_an_upstream_that_knows_no_stop_strings_is_left() -> None:
    made = answer()
    made.call()
    assert made.take(event("a E")) is None
    assert made.take(event("ND b")) is None
    assert made.full
    assert made.call() is None
    assert made.last() == TokenChunk("a ", ids_of("a E") + ids_of("ND b"), "stop")


def test_what_may_begin_a_stop_string_waits_and_is_shown_at_the_end() -> None:
    made = answer()
    made.call()
    assert made.take(event("a E")) is None
    assert made.take(event("N")) is None
    assert made.take(event("O")) == TokenChunk("a ENO", ids_of("a E") + ids_of("N") + ids_of("O"))
    assert made.take(event(" EN", finish_reason="length")) is None
    assert made.last() == TokenChunk(" EN", ids_of(" EN"), "length")


def test_what_was_held_back_when_the_stream_broke_is_made_again() -> None:
    made = answer()
    made.call()
    made.take(event("a"))
    assert made.take(event(" EN")) is None
    call = made.call()
    assert call is not None
    assert call.body["messages"] == [{"role": "assistant", "content": "a"}]
    assert made.take(event(" EN")) is None
    assert made.take(event("D")) is None
    assert made.last() == TokenChunk(" ", ids_of(" EN") + ids_of("D"), "stop")


def test_an_answer_that_has_stopped_is_not_asked_for_again() -> None:
    made = answer("a END b")
    assert made.call() is None
    assert made.last() == TokenChunk("", (), "stop")


def test_a_stop_string_that_began_before_ends_the_answer() -> None:
    made = answer("a E")
    made.call()
    assert made.take(event("ND b")) is None
    assert made.last() == TokenChunk("", ids_of("ND b"), "stop")


def test_pieces_that_wait_count_towards_the_limit() -> None:
    made = answer()
    made.call()
    for _ in range(10):
        assert made.take(event("E")) is None
    assert made.take(event("E")) is None
    assert made.full
    assert made.last() == TokenChunk("E" * 10, ids_of("E") * 10, "length")
