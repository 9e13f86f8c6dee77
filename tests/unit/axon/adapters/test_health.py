from collections.abc import AsyncIterator

import aiohttp
import pytest

from axon.adapters.health import serve_health


class Check:
    state: dict[str, object] | None = None

    async def __call__(self) -> dict[str, object] | None:
        return self.state


@pytest.fixture
async def check() -> Check:
    return Check()


@pytest.fixture
async def url(check: Check) -> AsyncIterator[str]:
    runner = await serve_health(check, port=0)
    host, port = runner.addresses[0][:2]
    assert host == "127.0.0.1"
    yield f"http://127.0.0.1:{port}/health"
    await runner.cleanup()


async def get(url: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def test_what_can_serve(check: Check, url: str) -> None:
    check.state = {"models": ["echo"], "running": 3}
    assert await get(url) == (200, {"status": "ok", "models": ["echo"], "running": 3})


async def test_what_cannot(check: Check, url: str) -> None:
    assert await get(url) == (503, {"status": "unavailable"})
