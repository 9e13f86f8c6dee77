"""Stream one answer: ``python examples/stream.py "What is the capital of France?"``."""

import json
import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "sk-axon-local"),
)
model = os.environ.get("AXON_MODEL", "smollm2-135m-instruct")

if len(json.dumps(sys.argv[1:])) > 32_000:
    sys.exit("Too long: API Gateway takes WebSocket frames of 32 KB, and the SDK sends one frame.")
with client, client.responses.connect() as connection:
    connection.response.create(model=model, input=sys.argv[1])
    for event in connection:
        match event.type:
            case "response.output_text.delta":
                print(event.delta, end="", flush=True)
            case "response.completed" | "response.incomplete":
                print()
                break
            case "response.failed" | "error":
                sys.exit(event.to_json())
