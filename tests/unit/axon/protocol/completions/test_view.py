import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from pydantic import TypeAdapter

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.chat.errors import FailedResponseError
from axon.protocol.chat.stream import DONE
from axon.protocol.completions.view import TextStream, completion_of, text_error
from axon.protocol.objects import Json
from axon.serialization import dumps, loads
from tests.unit.axon.protocol.chat.chat_samples import an_answer, end_of, ends
from tests.unit.axon.protocol.transcript_samples import ITEM, Step, message

COMPLETION = TypeAdapter(Completion)


def chunks_of(events: list[LoggedEvent], *, include_usage: bool = False) -> list[Json]:
    stream = TextStream(include_usage=include_usage)
    data = [each for event in events for each in stream.feed(loads(event.data))]
    assert data.pop() == DONE
    return [loads(each) for each in data]


def test_stream_gives_the_text_and_at_its_end_the_reason() -> None:
    events = an_answer(message("It ", "is 1."))
    first, second, last, usage = chunks_of(events, include_usage=True)
    assert first == {
        "id": "cmpl-" + end_of(events)["id"].removeprefix("resp_"),
        "object": "text_completion",
        "created": 1_700_000_000,
        "model": "echo",
        "system_fingerprint": None,
        "choices": [{"text": "It ", "index": 0, "logprobs": None, "finish_reason": None}],
        "usage": None,
    }
    assert [each["choices"][0]["text"] for each in (second, last)] == ["is 1.", ""]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 12)


@given(items=st.lists(ITEM, max_size=4), include_usage=st.booleans())
def test_stream_adds_up_to_the_answer_that_is_not_streamed(
    items: list[list[Step]], include_usage: bool
) -> None:
    events = an_answer(*items, end=ends(Status.INCOMPLETE, reason="max_output_tokens"))
    completion = completion_of(end_of(events))
    COMPLETION.validate_json(dumps(completion), strict=True)
    chunks = chunks_of(events, include_usage=include_usage)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == completion["choices"][0]["text"]
    assert choices[-1]["finish_reason"] == completion["choices"][0]["finish_reason"] == "length"


def test_stream_of_a_failed_response_is_an_error_that_names_the_prompt() -> None:
    error = {"code": "context_length_exceeded", "message": "Too long."}
    with pytest.raises(FailedResponseError) as caught:
        chunks_of(an_answer(end=ends(Status.FAILED, error=error)))
    status, body = text_error(caught.value)
    assert (status, body["error"]["param"]) == (400, "prompt")
