"""Rendering of prompts without blocking the event loop."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from worker.engines.protocol import ChatMessage, Prompt, ToolSpec

T = TypeVar("T")

_MAX_INLINE_CHARACTERS = 8_192
"""Characters that a tokenizer renders in a few milliseconds: less than a thread is worth."""


def texts_of(messages: Iterable[ChatMessage], tools: Iterable[ToolSpec]) -> Iterator[str]:
    """Yield the text of each message and tool."""
    yield from (message.text for message in messages)
    yield from (tool.text for tool in tools)


def with_outputs_behind_calls(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the messages, the outputs of calls right behind the message that asked for them.

    Templates and servers refuse any other order, but a client may put a message between them.
    """
    groups: list[list[ChatMessage]] = []
    group_of: dict[str | None, list[ChatMessage]] = {}
    for message in messages:
        if (group := group_of.get(message.call_id)) is not None:
            group.append(message)
            continue
        groups.append([message])  # an output without its call, too: that is the template's to judge
        group_of |= {call.id: groups[-1] for call in message.calls}
    return [message for group in groups for message in group]


def one_system_message(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the messages with all system messages in one, at the beginning.

    Many templates take no other one (Qwen 3.5, Gemma, Mistral). Of a message that stood in the
    middle the place is lost, its text reaches the model.
    """
    system = [message.content for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    return [ChatMessage("system", "\n\n".join(system)), *others] if system else others


def render_tolerantly(
    render: Callable[[Sequence[ChatMessage]], T], messages: Sequence[ChatMessage]
) -> T:
    """Return `render(messages)`, or with one system message if the template raises otherwise."""
    try:
        return render(messages)
    except Exception:  # templates are Jinja programs, which raise errors of any kind
        if (merged := one_system_message(messages)) == [*messages]:
            raise
        return render(merged)


async def rendered(
    render: Callable[[Sequence[ChatMessage], Sequence[ToolSpec]], Prompt],
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolSpec],
) -> Prompt:
    """Return `render(messages, tools)`; long prompts are rendered in a thread."""
    if sum(map(len, texts_of(messages, tools))) <= _MAX_INLINE_CHARACTERS:
        return render(messages, tools)
    return await asyncio.to_thread(render, messages, tools)
