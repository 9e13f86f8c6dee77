from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from axon.adapters.observability.health import serve_health


class Check:
    state: dict[str, object] | None = None

    async def __call__(self) -> dict[str, object] | None:
        return self.state


@pytest.fixture
async def check() -> Check:
    return Check()


@pytest.fixture
async def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def url(check: Check, registry: CollectorRegistry) -> AsyncIterator[str]:
    runner = await serve_health(check, port=0, registry=registry)
    host, port = runner.addresses[0][:2]
    assert host == "127.0.0.1"
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def get(url: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def test_health_answers_200_while_the_service_can_serve(check: Check, url: str) -> None:
    check.state = {"models": ["echo"], "running": 3}
    assert await get(f"{url}/health") == (
        200,
        {"status": "ok", "models": ["echo"], "running": 3},
    )


async def test_health_answers_503_while_the_service_cannot_serve(check: Check, url: str) -> None:
    assert await get(f"{url}/health") == (503, {"status": "unavailable"})


async def test_health_server_exposes_metrics_in_every_state(
    url: str, registry: CollectorRegistry
) -> None:
    Counter("axon_things", "Things.", registry=registry).inc(2)
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "axon_things_total 2.0\n" in await answer.text()
