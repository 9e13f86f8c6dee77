"""A WebSocket server that answers like Axon."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve


def answer(*deltas: str, text: str, last: str) -> list[dict[str, Any]]:
    part = {"type": "output_text", "text": text}
    response = {"usage": {"output_tokens": 5}, "output": [{"content": [part]}]}
    events: list[dict[str, Any]] = [{"type": "response.created"}]
    events += [{"type": "response.output_text.delta", "delta": delta} for delta in deltas]
    events.append({"type": last, "response": response})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


@asynccontextmanager
async def axon(events: list[dict[str, Any]]) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []

    async def handle(connection: ServerConnection) -> None:
        async for message in connection:
            asked.append(json.loads(message))
            for event in events:
                await connection.send(json.dumps(event))

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/responses", asked
