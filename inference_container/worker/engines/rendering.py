"""Rendering a prompt without keeping the event loop."""

import asyncio
from collections.abc import Callable, Sequence

from worker.engines.protocol import ChatMessage, Prompt

# Takes a tokenizer a few milliseconds.
_INLINE_CHARACTERS = 8_192


async def rendered(
    render: Callable[[Sequence[ChatMessage]], Prompt], messages: Sequence[ChatMessage]
) -> Prompt:
    """Return what `render` makes of the messages; of long ones in a thread, where it may block."""
    if sum(len(message.content) for message in messages) <= _INLINE_CHARACTERS:
        return render(messages)
    return await asyncio.to_thread(render, messages)
