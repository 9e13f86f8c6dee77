import asyncio
import gzip

from front.bodies import HELD_BYTES
from tests.support.eventually import eventually
from tests.unit.front.front_harness import FrontHarness

JSON = {"Content-Type": "application/json"}


async def test_bodies_that_arrive_together_are_limited(harness: FrontHarness) -> None:
    assert HELD_BYTES == 64 * 2**20
    more = asyncio.Event()

    async def slow() -> object:
        yield b" " * 90_000
        await more.wait()
        yield b"{}"

    first = asyncio.create_task(harness.client.post("/v1/responses", data=slow(), headers=JSON))
    await eventually(lambda: harness.context.bodies.held == 90_000)
    second = b" " * 90_000 + b"{}"
    async with harness.client.post("/v1/responses", data=second, headers=JSON) as answer:
        assert (await harness.error(answer))[:2] == (503, "server_overloaded")
        assert "Retry-After" in answer.headers
    more.set()
    async with await first as answer:
        assert (await harness.error(answer))[0] == 400  # read: it names no model
    async with harness.client.post("/v1/responses", data=second, headers=JSON) as answer:
        assert (await harness.error(answer))[0] == 400
    assert harness.context.bodies.held == 0


async def test_body_that_is_not_what_its_headers_say_is_refused(harness: FrontHarness) -> None:
    gzipped = JSON | {"Content-Encoding": "gzip"}
    for data, code in ((b"{}", "invalid_json"), (gzip.compress(b"["), "invalid_json")):
        async with harness.client.post("/v1/responses", data=data, headers=gzipped) as answer:
            assert (await harness.error(answer))[:2] == (400, code)
    async with harness.client.post(
        "/v1/responses", data=gzip.compress(b" " * 200_000), headers=gzipped
    ) as answer:
        assert (await harness.error(answer))[:2] == (413, "request_too_large")
    assert harness.context.bodies.held == 0
