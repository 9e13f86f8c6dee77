import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from benchmarks.overload.flood import run
from benchmarks.overload.model import Flood
from tests.unit.benchmarks.overload.event_samples import events, failed

Answer = Callable[[str], list[dict[str, Any]]]


@asynccontextmanager
async def cloud(answer: Answer) -> AsyncIterator[str]:
    async def handle(connection: ServerConnection) -> None:
        async for message in connection:
            for event in answer(json.loads(message)["stream_id"]):
                await connection.send(json.dumps(event))

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/responses"


def flood(url: str, *, limit_s: float = 20) -> Flood:
    return Flood(
        url=url, model="echo", jobs=9, connections=2, tokens=3, unconfirmed=2, limit_s=limit_s
    )


async def test_flood_sends_every_request_and_waits_for_its_end() -> None:
    def answer(stream_id: str) -> list[dict[str, Any]]:
        if int(stream_id) % 3:
            return events(stream_id, "1 2", " 3")
        return events(stream_id, last=failed("server_error", "Late."))

    said: list[str] = []
    async with cloud(answer) as url:
        seen = await run(flood(url), said.append)
    assert seen.outcomes == {"completed": 6, "failed, server_error: Late.": 3}
    assert seen.wrong == []
    assert said == ["window", "end"]


async def test_flood_counts_an_unended_response_as_lost() -> None:
    async with cloud(lambda stream_id: events(stream_id, "1")[:1]) as url:
        seen = await run(flood(url, limit_s=0.3), lambda _: None)
    assert seen.outcomes == {"lost": 9}
    assert seen.wrong == ["9 responses were open after 0.3 s"]
