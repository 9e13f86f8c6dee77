from openai.types.chat import ChatCompletion
from pydantic import TypeAdapter

from axon.event_log.log import Status
from axon.protocol.chat.result import completion_of
from axon.protocol.objects import Json
from axon.serialization import dumps
from tests.unit.axon.protocol.chat.chat_samples import an_answer, end_of, ends
from tests.unit.axon.protocol.transcript_samples import (
    Step,
    function_call,
    message,
    reasoning,
)


def completion(*items: list[Step], **options: Step) -> Json:
    found = completion_of(end_of(an_answer(*items, **options)))
    TypeAdapter(ChatCompletion).validate_json(dumps(found), strict=True)
    return found


def test_result_of_text_is_one_choice_with_its_usage() -> None:
    found = completion(message("It ", "is 1."), message("!"))
    assert found["id"].startswith("chatcmpl-")
    assert found["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "It is 1.!", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert found["usage"]["total_tokens"] == 12


def test_result_of_calls_alone_has_no_content() -> None:
    (choice,) = completion(function_call('{"a":', "1}"))["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"
    assert call["id"].startswith("call_")
    assert call["function"] == {"name": "look_up", "arguments": '{"a":1}'}


def test_result_shows_reasoning_beside_the_content() -> None:
    (choice,) = completion(reasoning("think", "Plan", "more"), message("1"))["choices"]
    assert choice["message"]["reasoning_content"] == "thinkmore"
    assert choice["message"]["content"] == "1"


def test_result_without_items_or_usage_has_an_empty_text() -> None:
    found = completion(end=ends(Status.INCOMPLETE, reason="max_output_tokens"))
    (choice,) = found["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert found["usage"] is None
