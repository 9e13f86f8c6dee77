"""OpenAI's SDK, its helper that accumulates a Responses stream; the input is the conversation."""

from collections.abc import Iterator

from openai import OpenAI
from turns import MODEL, run

client = OpenAI()
items = []


def ask(question: str) -> Iterator[str]:
    items.append({"role": "user", "content": question})
    with client.responses.stream(model=MODEL, input=items, store=False) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta
        items.extend(stream.get_final_response().output)


run(ask)
