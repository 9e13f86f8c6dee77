from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import SecretStr

from axon.adapters.observability.health import Health, serve_health


class Check:
    state: dict[str, object] | None = None

    async def __call__(self) -> dict[str, object] | None:
        return self.state


@pytest.fixture
async def check() -> Check:
    return Check()


class Alive:
    state = True

    async def __call__(self) -> bool:
        return self.state


@pytest.fixture
async def alive() -> Alive:
    return Alive()


@pytest.fixture
async def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def url(check: Check, alive: Alive, registry: CollectorRegistry) -> AsyncIterator[str]:
    health = Health(check, alive=alive)
    runner = await serve_health(health, port=0, registry=registry)
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


async def test_liveness_begins_with_the_first_readiness_and_outlasts_it(
    check: Check, url: str
) -> None:
    assert await get(f"{url}/live") == (503, {"status": "starting"})
    check.state = {}
    assert await get(f"{url}/live") == (200, {"status": "alive"})
    check.state = None
    assert (await get(f"{url}/health"))[0] == 503
    assert await get(f"{url}/live") == (200, {"status": "alive"})


async def test_liveness_ends_with_what_the_process_cannot_mend(
    check: Check, alive: Alive, url: str
) -> None:
    check.state = {}
    assert (await get(f"{url}/live"))[0] == 200
    alive.state = False
    assert await get(f"{url}/live") == (503, {"status": "dead"})


async def test_health_server_exposes_metrics_in_every_state(
    url: str, registry: CollectorRegistry
) -> None:
    Counter("axon_things", "Things.", registry=registry).inc(2)
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "axon_things_total 2.0\n" in await answer.text()


@pytest.mark.parametrize("path", ["health", "live", "metrics"])
async def test_health_server_answers_its_token_only_where_it_has_one(
    check: Check, registry: CollectorRegistry, path: str
) -> None:
    """Other users of a laptop reach the port."""
    check.state = {}
    runner = await serve_health(
        Health(check), port=0, registry=registry, token=SecretStr("s\xe9cret")
    )
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/{path}"
    async with aiohttp.ClientSession() as session:
        for given, status in (
            ("Bearer s\xe9cret", 200),
            ("Bearer other", 401),
            ("s\xe9cret", 401),
            ("", 401),
        ):
            async with session.get(url, headers={"Authorization": given}) as answer:
                assert answer.status == status, given
    await runner.cleanup()
