import asyncio
import gzip

import pytest

from axon.exceptions import RequestError
from front.bodies import Bodies
from front.memory import HeldBytes
from tests.support.eventually import eventually
from tests.unit.front.front_harness import OTHER_KEY, FrontHarness

JSON = {"Content-Type": "application/json"}


async def test_bodies_that_arrive_together_are_limited(harness: FrontHarness) -> None:
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
    bodies = Bodies(max_bytes=20 * 2**20)
    for held, most in ((bodies.held, 10), (bodies.held_of_sockets, 5)):
        fill(held, longest=20 * 2**20, most=most, of_tenant=3)
    fill(HeldBytes(most=1600, longest=100), longest=100, most=16, of_tenant=4)


def fill(held: HeldBytes, *, longest: int, most: int, of_tenant: int) -> None:
    """Check that there is room for `most` of the longest bodies, and `of_tenant` of one tenant."""
    tenants = [f"t{number // of_tenant}" for number in range(most)]
    for tenant_id in tenants:
        held.hold(longest, tenant_id=tenant_id)
    for tenant_id, status in (("t0", 429), ("other", 503)):
        with pytest.raises(RequestError) as caught:
            held.hold(1, tenant_id=tenant_id)
        assert caught.value.status == status
    held.release(longest, tenant_id="t0")
    held.hold(longest, tenant_id="other")
    for tenant_id in [*tenants[1:], "other"]:
        held.release(longest, tenant_id=tenant_id)
    assert held.count == 0
