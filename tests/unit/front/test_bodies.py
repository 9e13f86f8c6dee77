import asyncio
import gzip

import pytest

from axon.exceptions import RequestError
from front.bodies import HELD_BYTES, HeldBytes
from tests.support.eventually import eventually
from tests.unit.front.front_harness import OTHER_KEY, FrontHarness

JSON = {"Content-Type": "application/json"}


async def test_bodies_that_arrive_together_are_limited(harness: FrontHarness) -> None:
    assert HELD_BYTES == 64 * 2**20
    more = asyncio.Event()

    async def slow() -> object:
        yield b" " * 90_000
        await more.wait()
        yield b"{}"

    first = asyncio.create_task(harness.client.post("/v1/responses", data=slow(), headers=JSON))
    await eventually(lambda: harness.context.bodies.held.count == 90_000)
    second = b" " * 90_000 + b"{}"
    other = JSON | {"Authorization": f"Bearer {OTHER_KEY}"}
    for headers, refusal in (
        (other, (503, "server_overloaded")),
        (JSON, (429, "rate_limit_exceeded")),  # the tenant has its share
    ):
        async with harness.client.post("/v1/responses", data=second, headers=headers) as answer:
            assert (await harness.error(answer))[:2] == refusal
            assert "Retry-After" in answer.headers
    more.set()
    async with await first as answer:
        assert (await harness.error(answer))[0] == 400  # read: it names no model
    async with harness.client.post("/v1/responses", data=second, headers=JSON) as answer:
        assert (await harness.error(answer))[0] == 400
    assert harness.context.bodies.held.count == 0


async def test_body_that_is_not_what_its_headers_say_is_refused(harness: FrontHarness) -> None:
    gzipped = JSON | {"Content-Encoding": "gzip"}
    for data, code in ((b"{}", "invalid_json"), (gzip.compress(b"["), "invalid_json")):
        async with harness.client.post("/v1/responses", data=data, headers=gzipped) as answer:
            assert (await harness.error(answer))[:2] == (400, code)
    async with harness.client.post(
        "/v1/responses", data=gzip.compress(b" " * 200_000), headers=gzipped
    ) as answer:
        assert (await harness.error(answer))[:2] == (413, "request_too_large")
    assert harness.context.bodies.held.count == 0


def test_held_bytes_leave_room_for_other_tenants() -> None:
    held = HeldBytes(most=400, longest=100)
    held.hold(100, tenant_id="a")
    with pytest.raises(RequestError) as caught:
        held.hold(1, tenant_id="a")
    assert caught.value.status == 429
    for tenant_id in "bcd":
        held.hold(100, tenant_id=tenant_id)
    with pytest.raises(RequestError) as caught:
        held.hold(1, tenant_id="e")
    assert caught.value.status == 503
    held.release(100, tenant_id="a")
    held.hold(100, tenant_id="e")
    assert held.count == 400
