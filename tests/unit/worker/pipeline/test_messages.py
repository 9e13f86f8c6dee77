from collections.abc import Sequence
from typing import Any

import pytest

from axon.conversations import Turn
from axon.jobs import Job
from tests.unit.axon.samples import a_job
from tests.unit.worker.pipeline.item_samples import message, turn
from worker.engines.protocol import ChatMessage, ToolCall
from worker.pipeline.messages import Conversation

USER = ChatMessage("user", "hello")


def messages_of(job: Job, turns: Sequence[Turn] = (), *, without: int = 0) -> list[ChatMessage]:
    return Conversation.of(job, turns).without(without)


def test_messages_of_a_string_are_one_user_message() -> None:
    assert messages_of(a_job(input="hello")) == [USER]


def test_messages_begin_with_the_instructions() -> None:
    messages = messages_of(a_job(input="hello", instructions="Be brief."))
    assert messages == [ChatMessage("system", "Be brief."), USER]


def test_messages_have_earlier_turns_before_the_input_in_order() -> None:
    first = turn(
        asked=[message("user", "one")],
        answered=[message("assistant", [{"type": "output_text", "text": "1", "annotations": []}])],
    )
    second = turn(asked=[message("user", "two")], answered=[message("assistant", "2")])
    messages = messages_of(a_job(input="hello", instructions="Be brief."), [first, second])
    assert [(m.role, m.content) for m in messages] == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "hello"),
    ]


@pytest.mark.parametrize(
    ("role", "seen"),
    [("user", "user"), ("assistant", "assistant"), ("system", "system"), ("developer", "system")],
)
def test_messages_have_the_roles_that_models_know(role: str, seen: str) -> None:
    (made,) = messages_of(a_job(input=[message(role, "hello")]))
    assert (made.role, made.content) == (seen, "hello")


def test_messages_join_content_parts() -> None:
    content = [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]
    (made,) = messages_of(a_job(input=[message("user", content)]))
    assert made.content == "one\ntwo"


def test_messages_show_calls_and_outputs_without_reasoning() -> None:
    job = a_job(
        input=[
            message("user", "2 + 2?"),
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "add", "arguments": "[2,2]"},
            {"type": "function_call_output", "call_id": "c", "output": "4"},
        ]
    )
    assert messages_of(job) == [
        ChatMessage("user", "2 + 2?"),
        ChatMessage("assistant", "", calls=(ToolCall("c", "add", "[2,2]"),)),
        ChatMessage("tool", "4", call_id="c", name="add"),
    ]


def a_call(call_id: str, name: str = "f") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def an_output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": call_id}


def shown(messages: Sequence[ChatMessage]) -> list[tuple[str, str, str]]:
    """Return role, text, and the ids of the calls or of the call that is answered."""
    return [
        (each.role, each.content, ",".join(call.id for call in each.calls) or each.call_id or "")
        for each in messages
    ]


def test_messages_join_a_text_and_the_calls_that_follow_it() -> None:
    items = [
        message("assistant", "Let me see."), a_call("1"), a_call("2"),
        {"type": "reasoning", "id": "rs_1", "summary": []}, a_call("3"),
        an_output("1"), an_output("2"), an_output("3"),
        a_call("4"), an_output("4"),
        a_call("5"), message("assistant", "And"), a_call("6"), message("user", "Stop."),
    ]  # fmt: skip
    assert shown(messages_of(a_job(input=items))) == [
        ("assistant", "Let me see.", "1,2,3"),
        ("tool", "1", "1"), ("tool", "2", "2"), ("tool", "3", "3"),
        ("assistant", "", "4"), ("tool", "4", "4"),
        ("assistant", "", "5"), ("assistant", "And", "6"), ("user", "Stop.", ""),
    ]  # fmt: skip


def test_messages_join_calls_across_turns_and_name_the_functions_of_outputs() -> None:
    turns = [
        turn(asked=[message("user", "?")], answered=[a_call("1", "old")]),
        turn(asked=[an_output("1")], answered=[message("assistant", "Well")]),
    ]
    job = a_job(input=[a_call("1", "new"), an_output("1"), an_output("unknown")])
    messages = messages_of(job, turns)
    assert shown(messages) == [
        ("user", "?", ""), ("assistant", "", "1"), ("tool", "1", "1"),
        ("assistant", "Well", "1"), ("tool", "1", "1"), ("tool", "unknown", "unknown"),
    ]  # fmt: skip
    assert [each.name for each in messages if each.role == "tool"] == ["old", "new", None]


def test_messages_of_an_empty_request_are_none() -> None:
    assert messages_of(a_job(input=[], previous_response_id="resp_0")) == []


def test_messages_can_leave_out_the_oldest_turns() -> None:
    turns = [
        turn(asked=[message("user", f"{n}?")], answered=[message("assistant", f"{n}.")])
        for n in range(3)
    ]
    job = a_job(input="hello", instructions="Be brief.")
    shown = [m.content for m in messages_of(job, turns, without=2)]
    assert shown == ["Be brief.", "2?", "2.", "hello"]
    assert [m.content for m in messages_of(job, turns, without=3)] == ["Be brief.", "hello"]


def test_messages_show_each_call_as_the_function_that_the_model_saw() -> None:
    custom = {"type": "custom_tool_call", "call_id": "1", "name": "patch", "input": 'a"'}
    namespaced = a_call("2", "find") | {"namespace": "crm"}
    output = {"type": "custom_tool_call_output", "call_id": "1", "output": "done"}
    calls = (ToolCall("1", "patch", '{"input":"a\\""}'), ToolCall("2", "crm__find", "{}"))
    answers = [
        ChatMessage("tool", "done", call_id="1", name="patch"),
        ChatMessage("tool", "2", call_id="2", name="crm__find"),
    ]
    expected = [ChatMessage("assistant", "", calls=calls), *answers]
    outputs = [output, an_output("2")]
    # From the request, where items are kept as functions', and from an answer before.
    assert messages_of(a_job(input=[custom, namespaced, *outputs])) == expected
    earlier = turn(asked=[], answered=[custom, namespaced])
    assert messages_of(a_job(input=outputs), [earlier]) == expected
