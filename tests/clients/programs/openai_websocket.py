"""OpenAI's SDK, Responses over a WebSocket that both turns share."""

from collections.abc import Iterator

from openai import OpenAI
from turns import MODEL, run

last_id = None


def ask(question: str) -> Iterator[str]:
    global last_id
    connection.response.create(model=MODEL, input=question, previous_response_id=last_id)
    for event in connection:
        if event.type == "response.output_text.delta":
            yield event.delta
        elif event.type == "response.completed":
            last_id = event.response.id
            return


with OpenAI().responses.connect() as connection:
    run(ask)
