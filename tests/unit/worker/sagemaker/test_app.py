"""An endpoint as a whole: what it needs, says and leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from axon.settings import EndpointSettings
from local.ports import Ports
from tests.conftest import Servers
from worker.engines.protocol import EngineDeadError
from worker.sagemaker.app import serve


@asynccontextmanager
async def harness(
    servers: Servers, **fields: Any
) -> AsyncGenerator[tuple[ClientSession, int, asyncio.Event, "asyncio.Task[None]"]]:
    port, health = _ports(servers.ports)
    settings = EndpointSettings(http_port=port, health_port=health, **fields)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop=stop, host="127.0.0.1"))
    async with ClientSession(f"http://127.0.0.1:{port}") as client:
        await _answering(client)
        try:
            yield client, health, stop, serving
        finally:
            stop.set()
            with suppress(EngineDeadError):
                await serving


def _ports(ports: Ports) -> tuple[int, int]:
    return ports.reserve(), ports.reserve()


async def _answering(client: ClientSession) -> None:
    async with asyncio.timeout(10):
        while True:
            with suppress(ClientError):
                async with client.get("/ping") as reply:
                    assert reply.status == 200
                    return
            await asyncio.sleep(0.01)


async def test_endpoint_has_health_and_metrics_on_their_own_port(servers: Servers) -> None:
    async with harness(servers) as (client, health, _, _):
        question = {"model": "echo", "input": "count to 3"}
        async with client.post("/invocations", json=question) as reply:
            response = await reply.json()
        assert response["output"][0]["content"][0]["text"] == "1 2 3"
        assert response["store"] is False
        async with client.get(f"http://127.0.0.1:{health}/health") as reply:
            assert await reply.json() == {"status": "ok", "models": ["echo"], "running": 0}
        async with client.get(f"http://127.0.0.1:{health}/metrics") as reply:
            text = await reply.text()
        assert 'axon_jobs_total{outcome="completed"} 1.0' in text
        assert 'axon_inference_tokens_total{kind="output",model="echo"} 3.0' in text


async def test_endpoint_that_stops_lets_answers_end(servers: Servers) -> None:
    async with harness(servers, echo_token_ms=20) as (client, _, stop, serving):
        question = {"model": "echo", "input": "count to 10", "stream": True}
        async with client.post("/invocations", json=question) as reply:
            stop.set()
            assert b"response.completed" in await reply.read()
        await serving


async def test_endpoint_that_stops_ends_answers_that_take_too_long(servers: Servers) -> None:
    async with harness(servers, echo_token_ms=20, stop_timeout_s=0.1) as (client, _, stop, serving):
        question = {"model": "echo", "input": "count to 10000", "stream": True}
        async with client.post("/invocations", json=question) as reply:
            stop.set()
            assert b"response.failed" in await reply.read()
        await serving


async def test_endpoint_ends_with_a_dead_engine(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise EngineDeadError("out of memory")

    monkeypatch.setattr("worker.engines.echo.engine.EchoEngine.assemble", dies)
    async with harness(servers) as (client, _, _, serving):
        async with client.post("/invocations", json={"model": "echo", "input": "x"}) as reply:
            assert reply.status == 500
        with pytest.raises(EngineDeadError, match="out of memory"):
            await serving
