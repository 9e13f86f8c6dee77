"""Items as jobs and the history keep them: in kinds that a worker of the version before can read.

A model knows functions alone, so a call of any other tool is kept as the call of the function that
stands for the tool (`axon.protocol.tools`), with what the client sent beside it.
"""

from typing import Any

from axon.protocol.items import Compaction, Item
from axon.protocol.tools import INPUT, model_name
from axon.serialization import dumps

_FUNCTIONS = {
    "function_call": "function_call",
    "custom_tool_call": "function_call",
    "custom_tool_call_output": "function_call_output",
}
"""Types of functions' items, by those of the items that they stand for."""
SENT_AS = "sent_as"
"""Field of a kept item with the fields that the client sent otherwise."""


def kept(item: Item) -> dict[str, Any]:
    """Return an item as jobs and the history keep it (`as_sent` is the inverse for calls)."""
    if isinstance(item, Compaction):
        return item.as_message()
    fields = item.model_dump(mode="json")
    fields.pop(SENT_AS, None)
    return as_function(fields)


def as_function(item: dict[str, Any]) -> dict[str, Any]:
    """Return a call or its output as that of a function; an item that is kept so stays the same."""
    kind = item.get("type")
    if SENT_AS in item or kind not in _FUNCTIONS:
        return item
    changed: dict[str, Any] = {}
    sent: dict[str, Any] = {}
    if (function := _FUNCTIONS[kind]) != kind:
        changed["type"] = function
    if kind == "custom_tool_call":
        sent["input"] = item["input"]
        changed["arguments"] = dumps({INPUT: item["input"]}).decode()
    if isinstance(namespace := item.get("namespace"), str) and "name" in item:
        changed["name"] = model_name(item["name"], namespace)
    if not changed:
        return item
    sent |= {name: item[name] for name in changed if name in item}
    return (
        {name: value for name, value in item.items() if name not in sent}
        | changed
        | {SENT_AS: sent}
    )


def as_sent(item: dict[str, Any]) -> dict[str, Any]:
    """Return a kept item as its client sent it."""
    sent = item.get(SENT_AS)
    if not isinstance(sent, dict):
        return item
    dropped = {SENT_AS, "arguments"} if "input" in sent else {SENT_AS}
    return {name: value for name, value in item.items() if name not in dropped} | sent
