"""Anthropic's SDK."""

from collections.abc import Iterator

from anthropic import Anthropic
from turns import MODEL, run

client = Anthropic()
messages = []


def ask(question: str) -> Iterator[str]:
    messages.append({"role": "user", "content": question})
    with client.messages.stream(model=MODEL, max_tokens=200, messages=messages) as stream:
        yield from stream.text_stream
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens
    messages.append({"role": "assistant", "content": message.content})


run(ask)
