import threading
from collections.abc import Sequence

import pytest

from worker.engines.protocol import ChatMessage, Prompt, ToolSpec
from worker.engines.rendering import render_tolerantly, rendered


@pytest.mark.parametrize(("words", "inline"), [(100, True), (10_000, False)])
async def test_rendering_of_a_long_conversation_does_not_block_the_event_loop(
    words: int, inline: bool
) -> None:
    threads = []

    def render(messages: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> Prompt:
        threads.append(threading.current_thread())
        return Prompt((len(tools),), messages[0].content)

    message, tool = ChatMessage("user", "hi"), ToolSpec("f", "word " * words)
    assert await rendered(render, [message], [tool]) == Prompt((1,), "hi")
    assert (threads == [threading.current_thread()]) is inline


def test_render_tolerantly_merges_system_messages_for_a_template_that_takes_one() -> None:
    def one_only(messages: Sequence[ChatMessage]) -> list[str]:
        if any(message.role == "system" for message in messages[1:]):
            raise ValueError("System message must be at the beginning.")
        return [message.content for message in messages]

    system, user = ChatMessage("system", "s"), ChatMessage("user", "u")
    assert render_tolerantly(one_only, [system, user]) == ["s", "u"]
    assert render_tolerantly(one_only, [system, user, system]) == ["s\n\ns", "u"]
    assert render_tolerantly(len, [system, user, system]) == 3  # what a template takes stays

    def none_at_all(messages: Sequence[ChatMessage]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        render_tolerantly(none_at_all, [system, user])
