"""A relay sets the limits of Valkey's memory while it runs, and starts where there is none left."""

import asyncio

from tests.conftest import Servers
from tests.integration.relay.relay_harness import RelayHarness
from tests.support.clients import valkey_client
from tests.support.valkey_servers import valkey_server


async def test_relay_sets_the_limits_of_valkeys_memory(
    harness: RelayHarness, servers: Servers
) -> None:
    with valkey_server(servers, maxmemory=100_000_000) as server:
        relay = await harness.spawn(valkey_url=server.url)
        try:
            async with valkey_client(server.url) as valkey, asyncio.timeout(30):
                while not await valkey.call("EXISTS", "axon:memory"):
                    await asyncio.sleep(0.05)
                limits = await valkey.call("HGETALL", "axon:memory")
        finally:
            await harness.kill(relay)
    assert limits == {
        b"full": b"0",
        b"caches": b"1",
        b"tenant_bytes": b"50000000",
        b"connection_bytes": b"12500000",
        b"cache_bytes": b"15000000",
    }


async def test_relay_starts_while_valkey_has_no_memory(
    harness: RelayHarness, servers: Servers
) -> None:
    """It is the relay that frees memory: where it cannot start, memory never comes back."""
    with valkey_server(servers, maxmemory=1) as server:
        relay = await harness.spawn(valkey_url=server.url)
        try:
            async with valkey_client(server.url) as valkey, asyncio.timeout(30):
                while await valkey.call("HGET", "axon:memory", "full") != b"1":
                    await asyncio.sleep(0.05)
                leases = await valkey.call("ZCOUNT", "axon:relays", "(0", "+inf")
        finally:
            await harness.kill(relay)
    assert leases == 1
