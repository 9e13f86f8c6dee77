"""Rendering a prompt: from messages as templates and APIs take them, beside the event loop."""

import asyncio
from collections.abc import Callable, Sequence

from worker.engines.protocol import ChatMessage, Prompt

# Takes a tokenizer a few milliseconds.
_INLINE_CHARACTERS = 8_192


def plain_messages(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Return the messages as chat templates and OpenAI's API take them."""
    return [{"role": message.role, "content": message.content} for message in messages]


async def rendered(
    render: Callable[[Sequence[ChatMessage]], Prompt], messages: Sequence[ChatMessage]
) -> Prompt:
    """Return what `render` makes of the messages; of long ones in a thread, where it may block."""
    if sum(len(message.content) for message in messages) <= _INLINE_CHARACTERS:
        return render(messages)
    return await asyncio.to_thread(render, messages)
