"""Chat messages in the form of OpenAI's chat completions."""

from collections.abc import Sequence
from typing import Any

from worker.engines.protocol import ChatMessage, ToolCall
from worker.engines.rendering import one_system_message

Json = dict[str, Any]


def chat_messages(messages: Sequence[ChatMessage]) -> list[Json]:
    """Return the messages as ``/chat/completions`` and vLLM's ``/tokenize`` take them.

    System messages are one, at the beginning: what the upstream's template can take is not known
    here, and every template that takes system messages takes this one. Calls are `tool_calls` of an
    assistant's message, and their outputs follow that message at once, also where the client put
    something between: servers refuse any other order.
    """
    groups: list[list[Json]] = []
    group_of: dict[str, list[Json]] = {}
    for message in one_system_message(messages):
        if message.call is not None:
            if not groups or groups[-1][-1]["role"] != "assistant":
                groups.append([{"role": "assistant", "content": None}])
            groups[-1][-1].setdefault("tool_calls", []).append(_call(message.call))
            group_of[message.call.id] = groups[-1]
        elif message.call_id is not None:
            output = {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
            if (group := group_of.get(message.call_id)) is None:
                groups.append([output])  # the upstream decides about an output without its call
            else:
                group.append(output)
        else:
            groups.append([{"role": message.role, "content": message.content}])
    return [message for group in groups for message in group]


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
