"""OpenAI's SDK, Responses over HTTP; the second turn continues the first by its id."""

from collections.abc import Iterator

from openai import OpenAI
from turns import MODEL, run

client = OpenAI()
last_id = None


def ask(question: str) -> Iterator[str]:
    global last_id
    with client.responses.create(
        model=MODEL, input=question, previous_response_id=last_id, stream=True
    ) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta
            elif event.type == "response.completed":
                last_id = event.response.id


run(ask)
