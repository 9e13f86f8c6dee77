"""A relay whose Valkey is away for some seconds: not ready, but alive."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import aiohttp

from axon.adapters.observability.probe import alive
from local.ports import Ports
from local.services.valkey import Valkey
from local.supervision.child import Child
from tests.integration.relay.relay_harness import RelayHarness

OUTAGE_S = 2.0
"""As 30 s for liveness, which nothing but the event loop decides; twice the relay's lease."""


async def test_relay_outlives_an_outage_of_valkey(harness: RelayHarness, tmp_path: Path) -> None:
    with Ports() as ports, ExitStack() as stack:
        valkey = Valkey(port=ports.reserve(), folder=tmp_path / "valkey", persistent=True)
        health = ports.reserve()
        first = started(valkey, tmp_path)
        stack.callback(first.kill)
        relay = await harness.spawn(
            valkey_url=valkey.url, relay_lease_s="1", health_port=str(health)
        )
        async with aiohttp.ClientSession() as session:

            async def answers(path: str, status: int) -> bool:
                url = f"http://127.0.0.1:{health}{path}"
                try:
                    async with session.get(url) as answer:
                        return answer.status == status
                except aiohttp.ClientConnectionError:
                    return False

            await becomes(lambda: answers("/health", 200))
            first.kill()
            await becomes(lambda: answers("/health", 503))
            ends = asyncio.get_running_loop().time() + OUTAGE_S
            while asyncio.get_running_loop().time() < ends:
                # What ECS asks inside the container.
                assert await answers("/live", 200)
                assert await asyncio.to_thread(alive, health)
                await asyncio.sleep(0.05)
            assert await answers("/health", 503)
            stack.callback(started(valkey, tmp_path).kill)
            await becomes(lambda: answers("/health", 200))
        assert relay.returncode is None
        relay.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(relay.wait(), 20) == 0


def started(valkey: Valkey, folder: Path) -> Child:
    child = Child(valkey.program(), owner=str(folder), log=folder / "valkey.log")
    child.wait_until_ready()
    return child


async def becomes(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)
