"""A relay on a real Valkey and SQS, before a strict ``@connections`` over real HTTP."""

from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey.client import Valkey
from tests.integration.relay.relay_harness import RelayHarness
from tests.unit.axon.adapters.aws.gateway_stub import StrictGateway


@pytest.fixture
async def harness(valkey_url: str, history_queue_url: str) -> AsyncIterator[RelayHarness]:
    valkey = Valkey(valkey_url)
    async with StrictGateway().serve() as gateway:
        harness = RelayHarness(
            valkey=valkey, valkey_url=valkey_url, gateway=gateway, history_url=history_queue_url
        )
        await harness.begin()
        yield harness
        await harness.end()
    await valkey.close()
    assert not gateway.faults
