"""The permit for quarantine: one contract for Valkey and the fake."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.quarantine import ValkeyQuarantinePermits
from axon.directory.quarantine import PERMIT_LEASE_S, QuarantinePermits
from axon.testing.attempts import FakeQuarantinePermits
from tests.contract.conftest import Kind, RepeatingValkey
from tests.support.clients import valkey_client


@dataclass(frozen=True, kw_only=True)
class PermitHarness:
    permits: QuarantinePermits
    seconds: Callable[[float], Awaitable[None]]
    lease_s: Callable[[], Awaitable[float]]


@pytest.fixture
async def harness(kind: Kind, request: pytest.FixtureRequest) -> AsyncIterator[PermitHarness]:
    if kind == "fake":
        now = 100.0

        async def seconds(count: float) -> None:
            nonlocal now
            now += count

        async def fake_lease_s() -> float:
            return fake._until - now

        fake = FakeQuarantinePermits(clock=lambda: now)
        yield PermitHarness(permits=fake, seconds=seconds, lease_s=fake_lease_s)
        return
    url: str = request.getfixturevalue("valkey_url")
    make = RepeatingValkey if kind == "repeated" else Valkey
    async with valkey_client(url, make=make) as valkey:

        async def lease_s() -> float:
            return int(await valkey.call("PTTL", keys.QUARANTINE)) / 1000

        permits = ValkeyQuarantinePermits(valkey=valkey)
        yield PermitHarness(permits=permits, seconds=asyncio.sleep, lease_s=lease_s)


async def test_permit_has_one_holder_who_may_renew_it(harness: PermitHarness) -> None:
    answers = await asyncio.gather(*(harness.permits.acquire(f"q{n}") for n in range(5)))
    assert answers == [True, False, False, False, False]
    assert await harness.permits.acquire("q0")
    assert not await harness.permits.acquire("q1")
    assert PERMIT_LEASE_S - 1 < await harness.lease_s() <= PERMIT_LEASE_S


async def test_permit_is_free_some_time_after_it_was_returned(harness: PermitHarness) -> None:
    assert await harness.permits.acquire("q0")
    await harness.permits.release("q1", pause_s=0.01)  # not the holder
    await harness.seconds(0.05)
    assert not await harness.permits.acquire("q1")
    await harness.permits.release("q0", pause_s=0.1)
    assert not await harness.permits.acquire("q1")
    await harness.seconds(0.2)
    assert await harness.permits.acquire("q1")
