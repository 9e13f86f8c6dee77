"""Items as jobs and the history keep them, and as clients see them again."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from axon.protocol.item_pages import shown_items
from axon.protocol.items import Item
from axon.protocol.kept_items import as_sent, kept

ITEM: TypeAdapter[Any] = TypeAdapter(Item)
CUSTOM = {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": 'a "b"\n'}
OUTPUT = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"}
NAMESPACED = {
    "type": "function_call",
    "call_id": "call_2",
    "namespace": "crm",
    "name": "find",
    "arguments": "{}",
}


def test_custom_call_is_kept_as_the_function_that_the_model_saw() -> None:
    item = kept(ITEM.validate_python(CUSTOM))
    assert {name: item[name] for name in ("type", "call_id", "name", "arguments")} == {
        "type": "function_call",
        "call_id": "call_1",
        "name": "patch",
        "arguments": '{"input":"a \\"b\\"\\n"}',
    }
    assert kept(ITEM.validate_python(OUTPUT))["type"] == "function_call_output"
    assert kept(ITEM.validate_python(NAMESPACED))["name"] == "crm__find"


@pytest.mark.parametrize(
    "item", [CUSTOM, CUSTOM | {"namespace": "crm", "id": "ctc_1"}, OUTPUT, NAMESPACED]
)
def test_kept_call_is_shown_as_its_client_sent_it(item: dict[str, Any]) -> None:
    stored = kept(ITEM.validate_python(item))
    ITEM.validate_python(stored)
    assert as_sent(stored) == item
    (shown,) = shown_items([stored], response_id="resp_1")
    assert shown | item == shown
    assert "sent_as" not in shown


@pytest.mark.parametrize("forged", [{"input": "x"}, {}, "x", None])
def test_client_cannot_have_its_item_shown_as_another_one(forged: Any) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert kept(ITEM.validate_python(call | {"sent_as": forged})) == call
