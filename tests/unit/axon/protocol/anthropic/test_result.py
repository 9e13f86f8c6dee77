import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError
from axon.ids import same_id
from axon.protocol.anthropic.result import content_of, message_of, stop_of, usage_of
from axon.protocol.objects import Json
from tests.unit.axon.protocol.anthropic.answer_samples import Part, answer, end_of

TEXT: Part = ("text", ["Hello"])
THINKING: Part = ("thinking", ["hm"])


def call(arguments: str) -> Json:
    return {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": arguments}


def test_message_of_a_response_has_its_text_and_usage() -> None:
    response = end_of(answer(TEXT))
    message = message_of(response)
    assert message == {
        "id": same_id("msg", response["id"]),
        "type": "message",
        "role": "assistant",
        "model": "echo",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 6,
            "output_tokens": 4,
            "service_tier": "standard",
        },
    }
    assert same_id("resp", message["id"]) == response["id"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_message_of_a_response_without_an_answer_is_an_error(status: Status) -> None:
    with pytest.raises(RequestError):
        message_of(end_of(answer(TEXT, status=status)))


def test_content_shows_thinking_only_if_it_is_asked_for() -> None:
    output = end_of(answer(THINKING, ("summary", ["S"]), TEXT))["output"]
    text = {"type": "text", "text": "Hello"}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "unsigned"}
    assert list(content_of(output, thinking=True)) == [thinking, text]
    assert list(content_of(output, thinking=False)) == [text]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ("", {}),
        ('{"a": [1, ', {"a": [1]}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("{a}", {"INVALID_JSON": "{a}"}),
    ],
)
def test_content_of_a_call_is_its_arguments_as_an_object(arguments: str, expected: Json) -> None:
    (block,) = content_of([call(arguments)], thinking=False)
    assert block == {"type": "tool_use", "id": "call_1", "name": "f", "input": expected}


@pytest.mark.parametrize(
    ("reason", "output", "expected"),
    [
        (None, [], "end_turn"),
        (None, [{"type": "message"}], "end_turn"),
        (None, [call("{}")], "tool_use"),
        (None, [{"type": "message", "stop_sequence": "END"}], "stop_sequence"),
        ("max_output_tokens", [call("{}")], "max_tokens"),
        ("content_filter", [], "refusal"),
    ],
)
def test_stop_reason_follows_from_the_end_the_stop_string_and_the_calls(
    reason: str | None, output: list[Json], expected: str
) -> None:
    details = reason and {"reason": reason}
    assert stop_of({"incomplete_details": details, "output": output}) == {
        "stop_reason": expected,
        "stop_sequence": "END" if expected == "stop_sequence" else None,
    }


def test_usage_counts_cached_tokens_apart() -> None:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 2},
        "output_tokens": 3,
    }
    assert usage_of(usage) == {
        "input_tokens": 1,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 7,
        "output_tokens": 3,
    }
