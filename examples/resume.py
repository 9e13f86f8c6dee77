"""Drop the connection in the middle of an answer and resume: ``python examples/resume.py TEXT``."""

import json
import os
import sys
from typing import Any

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "sk-axon-local"),
)
request: Any = {
    "type": "response.create",
    "model": os.environ.get("AXON_MODEL", "smollm2-135m-instruct"),
    "input": sys.argv[1],
}
if len(json.dumps(sys.argv[1:])) > 32_000:
    sys.exit("Too long: API Gateway takes WebSocket frames of 32 KB, and the SDK sends one frame.")
response_id, drops, done = "", 1, False
while not done:
    with client.responses.connect() as connection:
        connection.send(request)
        for event in connection:
            match event.type:
                case "response.created":
                    response_id = event.response.id
                case "response.output_text.delta":
                    print(event.delta, end="", flush=True)
                case "response.failed" | "error":
                    sys.exit(event.to_json())
            done = event.type in ("response.completed", "response.incomplete")
            if done or (event.type == "response.output_text.delta" and drops):
                break
    # On a new connection, ask for the events after the last one received: none is lost or repeated.
    last: int = getattr(event, "sequence_number", 0)
    request = {"type": "response.resume", "response_id": response_id, "starting_after": last}
    drops -= 1
print()
