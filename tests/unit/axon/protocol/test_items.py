import pytest
from pydantic import TypeAdapter, ValidationError

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


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"encrypted_content": None, "content": None}, ""),
        ({"encrypted_content": "gAAAAAB", "summary": [{"type": "summary_text", "text": "S"}]}, ""),
        ({"content": "text"}, ""),
        ({"content": [7, {"text": 7}, {"type": "reasoning_text", "text": "a"}]}, "a"),
        ({"content": [{"type": "reasoning_text", "text": t} for t in ("a ", "b")]}, "a b"),
    ],
)
def test_items_include_reasoning_of_any_server(fields: dict[str, object], text: str) -> None:
    item = ITEM.validate_python({"type": "reasoning", "id": "rs_1", "summary": []} | fields)
    assert isinstance(item, Reasoning)
    assert item.text == text


@pytest.mark.parametrize("kind", ["function_call_output", "custom_tool_call_output"])
@pytest.mark.parametrize("part", ["input_image", "input_file"])
def test_output_of_a_call_that_is_no_text_is_refused_by_its_place(kind: str, part: str) -> None:
    parts = [{"type": "input_text", "text": "4"}, {"type": part, "file_id": "f"}]
    with pytest.raises(ValidationError, match="only text is supported") as caught:
        ITEM.validate_python({"type": kind, "call_id": "c", "output": parts})
    assert caught.value.errors()[0]["loc"][-1] == 1


def test_item_keeps_unknown_fields() -> None:
    item = ITEM.validate_python({"role": "user", "content": "hello", "id": "msg_1"})
    assert item.model_dump()["id"] == "msg_1"
