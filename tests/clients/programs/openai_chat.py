"""OpenAI's SDK, Chat Completions."""

from collections.abc import Iterator

from openai import OpenAI
from turns import MODEL, run

client = OpenAI()
messages = []


def ask(question: str) -> Iterator[str]:
    messages.append({"role": "user", "content": question})
    with client.chat.completions.stream(
        model=MODEL, messages=messages, stream_options={"include_usage": True}
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                yield event.delta
        completion = stream.get_final_completion()
    assert completion.usage.completion_tokens
    messages.append(completion.choices[0].message)


run(ask)
