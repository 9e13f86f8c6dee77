import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.engine.model import Work
from benchmarks.engine.through import run

WORK = Work(clients=2, questions=3, tokens=5, first=7)


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


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete"])
async def test_the_whole_work_is_asked_of_axon(last: str) -> None:
    said: list[str] = []
    async with axon(answer("a", " b", text="a b", last=last)) as (url, asked):
        seen = await run(WORK, url=url, model="m", announce=said.append)
    assert seen.failures == []
    assert seen.tokens == 30
    assert len(seen.first_tokens_ms) == 6
    assert said == ["window", "end"]
    prompts = [*WORK.prompts(0), *WORK.prompts(1)]
    assert sorted(request["input"] for request in asked) == sorted(prompts)
    assert {(r["type"], r["model"], r["max_output_tokens"]) for r in asked} == {
        ("response.create", "m", 5)
    }


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (answer("a", text="a b", last="response.completed"), "not the text"),
        (answer(text="", last="response.completed"), "not the text"),
        (answer("a", text="a", last="response.failed"), "ended as"),
    ],
)
async def test_a_wrong_answer_is_a_failure(events: list[dict[str, Any]], message: str) -> None:
    async with axon(events) as (url, _):
        seen = await run(WORK, url=url, model="m", announce=lambda _: None)
    assert len(seen.failures) == 2
    assert message in seen.failures[0]
