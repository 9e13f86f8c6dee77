"""Conversations and tools in the form that a chat template takes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

from axon.serialization import loads
from worker.engines.chat_template import Json
from worker.engines.control_tokens import Mark, marked
from worker.engines.protocol import ChatMessage, ToolCall, ToolSpec
from worker.engines.rendering import with_outputs_behind_calls
from worker.engines.template_style import CallStyle, TemplateStyle

_SHORT = 9
_DESCRIPTION = (
    "You may call functions to help the user. Their signatures are JSON between these tags:\n"
    "<tools>\n{tools}\n</tools>\n\n"
    "To call a function, write a JSON object with its name and its arguments between these tags, "
    "once for each call:\n"
    '<tool_call>\n{{"name": <function-name>, "arguments": <arguments-object>}}\n</tool_call>'
)


def template_input(
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolSpec],
    *,
    style: TemplateStyle,
    mark: Mark = str,
) -> tuple[list[Json], list[Json] | None]:
    """Return the messages and the tools that a template of this style takes.

    What it does not show is shown as text, in the form of Hermes, which many models have learnt:
    tools in the system message, calls in the assistant's, outputs in the user's.

    Parameters
    ----------
    messages : Sequence[ChatMessage]
        The conversation.
    tools : Sequence[ToolSpec]
        The functions that the model may call.
    style : TemplateStyle
        What the template shows.
    mark : Mark
        Every text from outside passes it.
    """
    shown = _text_messages(messages, mark)
    if style.calls is not None:
        shown = _call_messages(messages, style.calls, mark)
    if tools and not style.tools:
        return _described(shown, tools, mark), None
    return shown, [_tool(tool, mark) for tool in tools] or None


def _tool(tool: ToolSpec, mark: Mark) -> Json:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {
            "name": mark(tool.name),
            "description": mark(tool.description or ""),
            "parameters": marked(parameters, mark),
        },
    }


def _described(messages: list[Json], tools: Sequence[ToolSpec], mark: Mark) -> list[Json]:
    lines = "\n".join(_json(_tool(tool, mark)) for tool in tools)
    text = _DESCRIPTION.format(tools=lines)
    if messages and messages[0]["role"] == "system":
        first, *others = messages
        return [first | {"content": f"{first['content']}\n\n{text}"}, *others]
    return [{"role": "system", "content": text}, *messages]


def _text_messages(messages: Sequence[ChatMessage], mark: Mark) -> list[Json]:
    shown: list[Json] = []
    after_output = False
    for message in with_outputs_behind_calls(messages):
        is_output = message.role == "tool"
        if not is_output:
            calls = (_call_text(call, mark) for call in message.calls)
            content = "\n".join(filter(None, (mark(message.content), *calls)))
            shown.append({"role": message.role, "content": content})
        else:
            content = f"<tool_response>\n{mark(message.content)}\n</tool_response>"
            if after_output:  # many templates refuse two messages of one role in a row
                shown[-1]["content"] += f"\n{content}"
            else:
                shown.append({"role": "user", "content": content})
        after_output = is_output
    return shown


def _call_text(call: ToolCall, mark: Mark) -> str:
    arguments = marked(_object(call.arguments), mark)
    written = _json({"name": mark(call.name), "arguments": arguments})
    return f"<tool_call>\n{written}\n</tool_call>"


def _call_messages(messages: Sequence[ChatMessage], style: CallStyle, mark: Mark) -> list[Json]:
    parts = [part for message in messages for part in _parts(message, style)]
    shown_ids: dict[str, str] = {}
    numbers = count()
    shown: list[Json] = []
    for message in with_outputs_behind_calls(parts):
        content = mark(message.content)
        if message.role == "tool":
            call_id = message.call_id or ""
            own = mark(_short(call_id) if style.ids == "short" else call_id)
            output = {"role": "tool", "content": content, "name": mark(message.name or "")}
            shown.append(output | {"tool_call_id": shown_ids.get(call_id, own)})
        elif message.calls:
            for call in message.calls:
                shown_ids[call.id] = _shown_id(call, style, next(numbers), mark)
            calls = [_call(call, shown_ids[call.id], style, mark) for call in message.calls]
            text = content or style.no_text
            shown.append({"role": "assistant", "content": text, "tool_calls": calls})
        else:
            shown.append({"role": message.role, "content": content})
    return shown


def _parts(message: ChatMessage, style: CallStyle) -> Iterator[ChatMessage]:
    """Yield a message as one or as several, as the template takes calls."""
    calls = message.calls
    if message.content and calls and not style.with_text:
        yield replace(message, calls=())
        message = replace(message, content="")
    if len(calls) < 2 or style.several:
        yield message
        return
    yield replace(message, calls=calls[:1])
    for call in calls[1:]:
        yield replace(message, content="", calls=(call,))


def _call(call: ToolCall, call_id: str, style: CallStyle, mark: Mark) -> Json:
    arguments: Any = marked(_object(call.arguments), mark)
    if style.arguments == "text":
        arguments = _json(arguments)
    function = {"name": mark(call.name), "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def _shown_id(call: ToolCall, style: CallStyle, number: int, mark: Mark) -> str:
    match style.ids:
        case "indexed":
            return f"functions.{mark(call.name)}:{number}"
        case "short":
            return mark(_short(call.id))
    return mark(call.id)


def _short(call_id: str) -> str:
    if len(call_id) == _SHORT and call_id.isascii() and call_id.isalnum():
        return call_id
    return sha256(call_id.encode(errors="replace")).hexdigest()[:_SHORT]


def _object(arguments: str) -> dict[str, Any]:
    """Return the arguments of a call as an object, as templates expect them.

    A model errs: what is no object is shown to it as the text that it wrote.
    """
    try:
        value = loads(arguments) if arguments.strip() else {}
        _json(value)  # not every number that can be read can be written
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"invalid_arguments": arguments}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
