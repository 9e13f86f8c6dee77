"""One answer over HTTP whose connection is dropped and resumed: nothing is lost or repeated."""

import itertools
import os
import sys
from collections.abc import Iterator

from openai import OpenAI
from openai.types.responses import ResponseStreamEvent

client = OpenAI(
    api_key=os.environ.get("OPENAI_API_KEY", "sk-axon-local"),
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
)
model = os.environ.get("AXON_MODEL", "smollm2-135m-instruct")


def pieces() -> Iterator[ResponseStreamEvent]:
    """Yield the events of one answer, from a new connection after every five of them."""
    stream = client.responses.create(model=model, input=sys.argv[1], stream=True)
    response_id, number = "", -1
    while True:
        with stream:
            for event in itertools.islice(stream, 5):
                yield event
                number = event.sequence_number
                if event.type == "response.created":
                    response_id = event.response.id
                if event.type in {"response.completed", "response.incomplete", "response.failed"}:
                    return
        # Dropped. The id and the last number are all that a client needs to go on.
        stream = client.responses.retrieve(response_id, stream=True, starting_after=number)


for event in pieces():
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()
