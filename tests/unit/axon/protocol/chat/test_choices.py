from collections.abc import Sequence

import pytest

from axon.event_log.log import Status
from axon.protocol.chat.choices import (
    ChoiceStreams,
    completion_of_all,
    requests_of,
)
from axon.protocol.chat.chunks import ChunkStream
from axon.protocol.chat.errors import FailedResponseError
from axon.protocol.chat.result import completion_of
from axon.protocol.chat.stream import DONE, ChatStream
from axon.protocol.completions import view as text_view
from axon.protocol.completions.view import TextStream
from axon.protocol.objects import Json, Usage
from axon.protocol.view_requests import ViewRequest
from axon.responses.fingerprint import fingerprint
from axon.serialization import loads
from tests.unit.axon.protocol.chat.chat_samples import an_answer, end_of, ends, joined
from tests.unit.axon.protocol.transcript_samples import message

ANSWERS = [
    an_answer(message("one", " two"), end=ends(Status.COMPLETED, usage=Usage(9, 5, 2))),
    an_answer(message("three"), end=ends(Status.COMPLETED, usage=Usage(9, 4, 9))),
    an_answer(message("four", " five", " six"), end=ends(Status.COMPLETED, usage=Usage(9, 1))),
]
TEXTS = ["one two", "three", "four five six"]
SUM = {
    "prompt_tokens": 9,
    "completion_tokens": 10,
    "total_tokens": 19,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def interleaved(*order: int) -> list[tuple[int, Json]]:
    """Return the events of all answers: the first of each, then the others, in this order."""
    logs = [[loads(event.data) for event in events] for events in ANSWERS]
    merged = [(index, log.pop(0)) for index, log in enumerate(logs)]
    while any(logs):
        merged += [(index, logs[index].pop(0)) for index in order if logs[index]]
    return merged


def streamed(streams: Sequence[ChunkStream], *order: int) -> list[bytes]:
    merged = ChoiceStreams(streams)
    return [data for index, event in interleaved(*order) for data in merged.feed(index, event)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 2, 0)])
def test_choice_streams_are_one_stream_with_an_index_and_one_usage(order: tuple[int, ...]) -> None:
    streams = [ChatStream(include_usage=True, index=index) for index in range(3)]
    *chunks, done = streamed(streams, *order)
    assert done == DONE
    decoded = [loads(chunk) for chunk in chunks]
    assert decoded.pop() | {"choices": []} == decoded[0] | {"choices": [], "usage": SUM}
    for index, text in enumerate(TEXTS):
        own = [chunk for chunk in decoded if chunk["choices"][0]["index"] == index]
        assert joined(own)["content"] == text
        assert own[-1]["choices"][0]["finish_reason"] == "stop"
    completion = "chatcmpl-" + end_of(ANSWERS[0])["id"].removeprefix("resp_")
    assert {chunk["id"] for chunk in decoded} == {completion}
    assert all(chunk["usage"] is None for chunk in decoded)


def test_choice_streams_of_the_older_api_have_the_same_form() -> None:
    *chunks, done = streamed([TextStream(index=index) for index in range(3)], 2, 0, 1)
    assert done == DONE
    texts = ["", "", ""]
    for choice in (loads(chunk)["choices"][0] for chunk in chunks):
        texts[choice["index"]] += choice["text"]
    assert texts == TEXTS


def test_choice_streams_end_with_the_first_failure() -> None:
    failed = an_answer(end=ends(Status.FAILED, error={"code": "server_error", "message": "No."}))
    streams = ChoiceStreams([ChatStream(), ChatStream(index=1)])
    streams.feed(0, loads(ANSWERS[0][0].data))
    with pytest.raises(FailedResponseError, match="No"):
        streams.feed(1, loads(failed[-1].data))


@pytest.mark.parametrize("view", [completion_of, text_view.completion_of])
def test_completion_of_all_has_a_choice_for_each_and_the_sum_of_usages(view: object) -> None:
    assert callable(view)
    responses = [end_of(events) for events in ANSWERS]
    completion = completion_of_all(responses, view)
    choices = completion["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert [each.get("text") or each["message"]["content"] for each in choices] == TEXTS
    assert completion["usage"] == SUM
    assert completion | {"choices": 0, "usage": 0} == view(responses[0]) | {
        "choices": 0,
        "usage": 0,
    }
    assert completion_of_all([responses[0], responses[1] | {"usage": None}], view)["usage"] is None


def test_completion_of_one_choice_is_its_responses() -> None:
    response = end_of(ANSWERS[0])
    assert completion_of_all([response], completion_of) == completion_of(response)


def test_requests_of_choices_have_seeds_and_keys_of_their_own_and_one_is_stored() -> None:
    request = ViewRequest(
        model="echo", input="hi", seed=2**63 - 1, idempotency_key="k" * 255, store=True
    )
    first, *others = requests_of(request, 3)
    assert first == request.model_copy(update={"n": 3})
    assert requests_of(request, 1) == [request]
    assert len({fingerprint(asked) for asked in (request, first, requests_of(request, 2)[0])}) == 3
    assert [other.seed for other in others] == [2**63 - 2, 2**63 - 3]
    assert [other.stored for other in others] == [False, False]
    keys = {each.idempotency_key for each in (first, *others)}
    assert len(keys) == 3
    for each in (*others, *requests_of(ViewRequest(model="echo", input="hi", seed=0), 2)):
        assert ViewRequest.model_validate(each.model_dump()) == each
