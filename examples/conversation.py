"""Hold a conversation of two turns: ``python examples/conversation.py "I am Ada." "Who am I?"``."""

import asyncio
import json
import os
import sys

from openai import AsyncOpenAI
from openai.resources.responses.responses import AsyncResponsesConnection

MODEL = os.environ.get("AXON_MODEL", "smollm2-135m-instruct")


async def turn(connection: AsyncResponsesConnection, text: str, previous: str | None) -> str:
    """Print the answer to one turn; return the id of its response, which the next turn names."""
    await connection.response.create(model=MODEL, input=text, previous_response_id=previous)
    async for event in connection:
        if event.type == "response.completed" or event.type == "response.incomplete":
            print(event.response.output_text)
            return event.response.id
        if event.type == "response.failed" or event.type == "error":
            sys.exit(event.to_json())
    raise ConnectionError("the connection was closed")


async def main(first: str, second: str) -> None:
    """Ask twice over one connection."""
    async with AsyncOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "sk-axon-local"),
    ) as client, client.responses.connect() as connection:  # fmt: skip
        response_id = await turn(connection, first, None)
        await turn(connection, second, response_id)


if len(json.dumps(sys.argv[1:])) > 32_000:
    sys.exit("Too long: API Gateway takes WebSocket frames of 32 KB, and the SDK sends one frame.")
asyncio.run(main(sys.argv[1], sys.argv[2]))
