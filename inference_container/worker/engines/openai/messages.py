"""Chat messages in the form of OpenAI's chat completions."""

from collections.abc import Sequence
from typing import Any

from worker.engines.protocol import ChatMessage, ToolCall, ToolSpec
from worker.engines.rendering import one_system_message, with_outputs_behind_calls

Json = dict[str, Any]


def chat_messages(messages: Sequence[ChatMessage]) -> list[Json]:
    """Return the messages as ``/chat/completions`` and vLLM's ``/tokenize`` take them.

    System messages are one, at the beginning: what the upstream's template can take is not known
    here, and every template that takes system messages takes this one. Calls are `tool_calls` of an
    assistant's message, and their outputs follow that message at once.
    """
    return [_message(each) for each in with_outputs_behind_calls(one_system_message(messages))]


def tool_fields(tools: Sequence[ToolSpec]) -> Json:
    """Return the field `tools` of a body, none for no tools: servers refuse an empty list."""
    return {"tools": [_tool(tool) for tool in tools]} if tools else {}


def _tool(tool: ToolSpec) -> Json:
    function: Json = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _message(message: ChatMessage) -> Json:
    if message.call_id is not None:
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if not message.calls:
        return {"role": message.role, "content": message.content}
    calls = [_call(call) for call in message.calls]
    return {"role": "assistant", "content": message.content or None, "tool_calls": calls}


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
