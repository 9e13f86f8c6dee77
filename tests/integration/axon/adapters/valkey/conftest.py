"""Servers of the tests in this folder."""

from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from tests.conftest import Servers
from tests.support.clients import valkey_client
from tests.support.principals import a_principal
from tests.support.valkey_servers import valkey_server


@pytest.fixture
async def small(servers: Servers) -> AsyncIterator[Valkey]:
    """Return a client of a server whose memory the test limits."""
    with valkey_server(servers, maxmemory_policy="noeviction") as server:
        async with valkey_client(server.url) as valkey:
            await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
            await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
            await ValkeyConnectionDirectory(valkey=valkey).register("c1", principal=a_principal())
            # A test of many responses can take longer than a model counts as attended, and openings
            # have another result then.
            soon = await valkey.now_ms() + 600_000
            await valkey.call("ZADD", keys.MODELS_LAST_SEEN, soon, "echo")
            yield valkey
