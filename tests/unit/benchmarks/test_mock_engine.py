import asyncio
import json
from time import perf_counter

import aiohttp
import pytest

from benchmarks.mock_engine import EngineConnection, answer_tokens
from benchmarks.model import Pace, counted_text


@pytest.mark.parametrize("count", [1, 2, 16, 128])
def test_mock_engine_counts(count: int) -> None:
    tokens = answer_tokens(f"count to {count}")
    assert len(tokens) == count
    assert "".join(tokens) == counted_text(count) == " ".join(map(str, range(1, count + 1)))


def test_mock_engine_echoes_other_texts_with_a_token_per_word() -> None:
    assert answer_tokens(" hello  wide world ") == ("hello", " wide", " world")
    assert answer_tokens("count to ten") == ("count", " to", " ten")


async def _events(pace: Pace, text: str) -> tuple[list[str], list[float]]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: EngineConnection(pace=pace, loop=loop), "127.0.0.1", 0
    )
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": text}]}
    events, moments, began = [], [], perf_counter()
    async with server, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/models") as models:
            assert (await models.json())["data"][0]["id"] == "mock"
        began = perf_counter()
        async with session.post(f"{url}/chat/completions", json=body) as response:
            assert response.status == 200
            async for line in response.content:
                if line.strip():
                    events.append(line.decode().removeprefix("data: ").strip())
                    moments.append(perf_counter() - began)
    return events, moments


async def test_mock_engine_streams_to_an_http_client() -> None:
    events, _ = await _events(Pace(ttft_ms=0, token_ms=0), "count to 5")
    assert events[-1] == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(choice["delta"].get("content", "") for choice in choices) == "1 2 3 4 5"
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["stop"]


async def test_mock_engine_sends_no_token_early() -> None:
    _, moments = await _events(Pace(ttft_ms=40, token_ms=20), "count to 5")
    tokens = moments[1:6]
    for index, moment in enumerate(tokens):
        assert moment >= 0.040 + index * 0.020 - 0.003
