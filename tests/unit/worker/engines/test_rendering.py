import threading
from collections.abc import Sequence

import pytest

from worker.engines.protocol import ChatMessage, Prompt
from worker.engines.rendering import rendered


@pytest.mark.parametrize(("words", "inline"), [(100, True), (10_000, False)])
async def test_what_takes_long_does_not_keep_the_event_loop(words: int, inline: bool) -> None:
    threads = []

    def render(messages: Sequence[ChatMessage]) -> Prompt:
        threads.append(threading.current_thread())
        return Prompt((1,), messages[0].content)

    message = ChatMessage("user", "word " * words)
    assert (await rendered(render, [message])).text == message.content
    assert (threads == [threading.current_thread()]) is inline
