from collections.abc import Sequence

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
    assert [(m.role, m.content) for m in messages_of(job)] == [
        ("user", "2 + 2?"),
        ("assistant", "add([2,2])"),
        ("tool", "4"),
    ]


def test_messages_keep_the_ids_of_calls_and_outputs() -> None:
    job = a_job(
        input=[
            {"type": "function_call", "call_id": "c", "name": "add", "arguments": "[2,2]"},
            {"type": "function_call_output", "call_id": "c", "output": "4"},
        ]
    )
    call, output = messages_of(job)
    assert (call.call, call.call_id) == (ToolCall("c", "add", "[2,2]"), None)
    assert (output.call, output.call_id) == (None, "c")


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
