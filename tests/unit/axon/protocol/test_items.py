import pytest
from pydantic import TypeAdapter

from axon.protocol.items import FunctionCall, FunctionCallOutput, Item, Message, Reasoning, text_of

ITEM: TypeAdapter[Item] = TypeAdapter(Item)


def test_message_needs_no_type() -> None:
    item = ITEM.validate_python({"role": "user", "content": "hello"})
    assert isinstance(item, Message)
    assert item.text == "hello"
    assert item.model_dump()["type"] == "message"


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_message_has_a_known_role(role: str) -> None:
    item = ITEM.validate_python({"type": "message", "role": role, "content": "hello"})
    assert isinstance(item, Message)
    assert item.role == role


def test_message_text_joins_pieces_by_line_breaks() -> None:
    content = [
        {"type": "input_text", "text": "one"},
        {"type": "output_text", "text": "two", "annotations": []},
        {"type": "text", "text": "three"},
        {"type": "refusal", "refusal": "no"},
    ]
    item = ITEM.validate_python({"role": "assistant", "content": content})
    assert isinstance(item, Message)
    assert item.text == "one\ntwo\nthree\nno"


def test_items_include_calls_and_their_outputs() -> None:
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


def test_items_include_reasoning_of_an_earlier_response() -> None:
    item = ITEM.validate_python({"type": "reasoning", "id": "rs_1", "summary": []})
    assert isinstance(item, Reasoning)


def test_item_keeps_unknown_fields() -> None:
    item = ITEM.validate_python({"role": "user", "content": "hello", "id": "msg_1"})
    assert item.model_dump()["id"] == "msg_1"
