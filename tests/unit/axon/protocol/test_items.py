import pytest
from pydantic import TypeAdapter

from axon.protocol.items import FunctionCall, FunctionCallOutput, Item, Message, Reasoning, text_of

ITEM: TypeAdapter[Item] = TypeAdapter(Item)


def test_a_message_needs_no_type() -> None:
    item = ITEM.validate_python({"role": "user", "content": "hello"})
    assert isinstance(item, Message)
    assert item.text == "hello"
    assert item.model_dump()["type"] == "message"


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_roles(role: str) -> None:
    item = ITEM.validate_python({"type": "message", "role": role, "content": "hello"})
    assert isinstance(item, Message)
    assert item.role == role


def test_pieces_of_text_are_joined_by_line_breaks() -> None:
    content = [
        {"type": "input_text", "text": "one"},
        {"type": "output_text", "text": "two", "annotations": []},
        {"type": "text", "text": "three"},
        {"type": "refusal", "refusal": "no"},
    ]
    item = ITEM.validate_python({"role": "assistant", "content": content})
    assert isinstance(item, Message)
    assert item.text == "one\ntwo\nthree\nno"


def test_calls_and_their_outputs() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert isinstance(ITEM.validate_python(call), FunctionCall)
    output = ITEM.validate_python(
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "4"}],
        }
    )
    assert isinstance(output, FunctionCallOutput)
    assert text_of(output.output) == "4"


def test_reasoning_of_an_earlier_answer_is_taken() -> None:
    item = ITEM.validate_python({"type": "reasoning", "id": "rs_1", "summary": []})
    assert isinstance(item, Reasoning)


def test_what_else_an_item_carries_is_kept() -> None:
    item = ITEM.validate_python({"role": "user", "content": "hello", "id": "msg_1"})
    assert item.model_dump()["id"] == "msg_1"
