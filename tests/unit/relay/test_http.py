from collections.abc import AsyncIterator

import aiohttp
import openai
import pytest

from axon.adapters.observability.health import Health
from relay.http import serve_http


class Check:
    state: dict[str, object] | None = None

    async def __call__(self) -> dict[str, object] | None:
        return self.state


@pytest.fixture
async def check() -> Check:
    return Check()


@pytest.fixture
async def url(check: Check) -> AsyncIterator[str]:
    runner = await serve_http(Health(check), port=0)
    host, port = runner.addresses[0][:2]
    assert host == "0.0.0.0"
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.mark.parametrize(("state", "status"), [({"relay_id": "r1"}, 200), (None, 503)])
async def test_http_health_is_the_relays_state(
    check: Check, url: str, state: dict[str, object] | None, status: int
) -> None:
    check.state = state
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as answer:
        assert answer.status == status


async def test_http_liveness_outlasts_readiness(check: Check, url: str) -> None:
    check.state = {"relay_id": "r1"}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/live") as answer:
            assert answer.status == 200
        check.state = None
        async with session.get(f"{url}/live") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("POST", "/health"),
        ("DELETE", "/v1/responses/resp_1?x=1"),
        ("OPTIONS", "/v1/%0d%0a"),
    ],
)
async def test_http_answers_unknown_paths_with_what_to_do(url: str, method: str, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, url + path) as answer:
        assert answer.status == 404
        error = (await answer.json())["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", "unknown_url")
    assert method in error["message"]
    assert "WebSocket" in error["message"]


async def test_http_error_is_shown_by_the_sdk(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="WebSocket") as caught:
            await client.responses.create(model="echo", input="hello")
    assert caught.value.code == "unknown_url"
