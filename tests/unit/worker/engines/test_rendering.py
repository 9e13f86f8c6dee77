import threading
from collections.abc import Sequence

import pytest

from worker.engines.protocol import ChatMessage, Prompt
from worker.engines.rendering import rendered


@pytest.mark.parametrize(("words", "inline"), [(100, True), (10_000, False)])
async def test_rendering_of_a_long_conversation_does_not_block_the_event_loop(
    words: int, inline: bool
) -> None:
    threads = []

    def render(messages: Sequence[ChatMessage]) -> Prompt:
        threads.append(threading.current_thread())
        return Prompt((1,), messages[0].content)

    message = ChatMessage("user", "word " * words)
    assert (await rendered(render, [message])).text == message.content
    assert (threads == [threading.current_thread()]) is inline
