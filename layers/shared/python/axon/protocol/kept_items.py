"""Items as jobs and the history keep them: in kinds that a worker of the version before can read.

A model knows functions alone, so a call of any other tool is kept as the call of the function that
stands for the tool (`axon.protocol.tools`), with what the client sent beside it.
"""

from typing import Any

from axon.protocol.items import (
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    Item,
)
from axon.protocol.tools import INPUT, model_name
from axon.serialization import dumps

SENT_AS = "sent_as"
"""Field of a kept item with the fields that the client sent otherwise."""


def kept(item: Item) -> dict[str, Any]:
    """Return an item as jobs and the history keep it (`as_sent` is the inverse for calls)."""
    if isinstance(item, Compaction):
        return item.as_message()
    fields = item.model_dump(mode="json")
    fields.pop(SENT_AS, None)
    changed: dict[str, Any] = {}
    match item:
        case CustomToolCall():
            arguments = dumps({INPUT: fields.pop("input")}).decode()
            changed = {"type": "function_call", "arguments": arguments}
        case CustomToolCallOutput():
            changed = {"type": "function_call_output"}
    if isinstance(item, CustomToolCall | FunctionCall):
        namespace = (item.model_extra or {}).get("namespace")
        if isinstance(namespace, str):
            changed["name"] = model_name(item.name, namespace)
    if not changed:
        return fields
    sent = {name: fields[name] for name in changed if name in fields}
    if isinstance(item, CustomToolCall):
        sent["input"] = item.input
    return fields | changed | {SENT_AS: sent}


def as_sent(item: dict[str, Any]) -> dict[str, Any]:
    """Return a kept item as its client sent it."""
    sent = item.get(SENT_AS)
    if not isinstance(sent, dict):
        return item
    dropped = {SENT_AS, "arguments"} if "input" in sent else {SENT_AS}
    return {name: value for name, value in item.items() if name not in dropped} | sent
