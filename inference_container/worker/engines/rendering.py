"""Rendering of prompts without blocking the event loop."""

import asyncio
from collections.abc import Callable, Sequence

from worker.engines.protocol import ChatMessage, Prompt

_MAX_INLINE_CHARACTERS = 8_192
"""Characters that a tokenizer renders in a few milliseconds: less than a thread is worth."""


def plain_messages(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Return the messages in the form of chat templates and of OpenAI's API."""
    return [{"role": message.role, "content": message.content} for message in messages]


async def rendered(
    render: Callable[[Sequence[ChatMessage]], Prompt], messages: Sequence[ChatMessage]
) -> Prompt:
    """Return `render(messages)`; long conversations are rendered in a thread."""
    if sum(len(message.content) for message in messages) <= _MAX_INLINE_CHARACTERS:
        return render(messages)
    return await asyncio.to_thread(render, messages)
