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
    return ChatAnswer(
        GenerateRequest("r", "m", Prompt((0,), '{"messages":[]}'), sampling, ids), MODEL
    )


def event(text: str, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, **choice}]}


def test_chat_answer_sends_stop_strings_and_keeps_the_usage() -> None:
    made = answer()
    call = made.call()
    assert call is not None
    assert call.body["stop"] == ["END"]
    assert made.take(event("a ")) == TokenChunk("a ", ids_of("a "))
    made.take(event("", finish_reason="stop"))
    made.take({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    assert made.last() == TokenChunk("", (), "stop", Usage(input_tokens=3, output_tokens=2))


def test_chat_answer_names_the_stop_string_that_the_upstream_tells() -> None:
    for told, stop in (("END", "END"), ("other", None), (7, None), (None, None)):
        made = answer()
        made.call()
        made.take(event("a ", finish_reason="stop", stop_reason=told))
        assert made.last().stop == stop


def test_chat_answer_sends_as_many_stop_strings_as_openai_takes() -> None:
    stops = ("a", "b", "c", "d", "e")
    request = GenerateRequest(
        "r", "m", Prompt((0,), '{"messages":[]}'), Sampling(max_tokens=10, stop=stops)
    )
    call = ChatAnswer(request, MODEL).call()
    assert call is not None
    assert call.body["stop"] == ["a", "b", "c", "d"]


def test_chat_answer_leaves_an_upstream_that_ignores_stop_strings() -> None:
    made = answer()
    made.call()
    assert made.take(event("a E")) is None
    assert made.take(event("ND b")) is None
    assert made.full
    assert made.call() is None
    assert made.last() == TokenChunk("a ", ids_of("a E") + ids_of("ND b"), "stop", stop="END")


def test_chat_answer_buffers_a_possible_stop_string_until_the_end() -> None:
    made = answer()
    made.call()
    assert made.take(event("a E")) is None
    assert made.take(event("N")) is None
    assert made.take(event("O")) == TokenChunk("a ENO", ids_of("a E") + ids_of("N") + ids_of("O"))
    assert made.take(event(" EN", finish_reason="length")) is None
    assert made.last() == TokenChunk(" EN", ids_of(" EN"), "length")


def test_chat_answer_asks_again_for_buffered_text_of_a_broken_stream() -> None:
    made = answer()
    made.call()
    made.take(event("a"))
    assert made.take(event(" EN")) is None
    call = made.call()
    assert call is not None
    assert call.body["messages"] == [{"role": "assistant", "content": "a"}]
    assert made.take(event(" EN")) is None
    assert made.take(event("D")) is None
    assert made.last() == TokenChunk(" ", ids_of(" EN") + ids_of("D"), "stop", stop="END")


def test_chat_answer_that_has_stopped_needs_no_call() -> None:
    made = answer("a END b")
    assert made.call() is None
    assert made.last() == TokenChunk("", (), "stop", stop="END")


def test_chat_answer_ends_at_a_stop_string_that_began_in_the_known_text() -> None:
    made = answer("a E")
    made.call()
    assert made.take(event("ND b")) is None
    assert made.last() == TokenChunk("", ids_of("ND b"), "stop", stop="END")


def test_chat_answer_counts_buffered_pieces_towards_the_limit() -> None:
    made = answer()
    made.call()
    for _ in range(10):
        assert made.take(event("E")) is None
    assert made.take(event("E")) is None
    assert made.full
    assert made.last() == TokenChunk("E" * 10, ids_of("E") * 10, "length")
