import aiohttp
import pytest

from relay.health import serve_health


@pytest.mark.parametrize(
    ("state", "status", "body"),
    [
        ({"undelivered": 3}, 200, {"status": "ok", "undelivered": 3}),
        (None, 503, {"status": "unavailable"}),
    ],
)
async def test_tells_the_state(
    state: dict[str, object] | None, status: int, body: dict[str, object]
) -> None:
    runner = await serve_health(lambda: state, port=0)
    try:
        host, port = runner.addresses[0]
        assert host == "127.0.0.1"
        async with aiohttp.request("GET", f"http://{host}:{port}/health") as answer:
            assert answer.status == status
            assert await answer.json() == body
    finally:
        await runner.cleanup()
