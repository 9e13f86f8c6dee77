"""A relay on a real Valkey and SQS, before a strict ``@connections`` over real HTTP."""

from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey.client import Valkey
from tests.integration.relay.relay_harness import Stage
from tests.unit.axon.adapters.aws.strict_gateway import StrictGateway


@pytest.fixture
async def stage(valkey_url: str, history_queue_url: str) -> AsyncIterator[Stage]:
    valkey = Valkey(valkey_url)
    async with StrictGateway().serve() as gateway:
        stage = Stage(
            valkey=valkey, valkey_url=valkey_url, gateway=gateway, history_url=history_queue_url
        )
        await stage.begin()
        yield stage
        await stage.end()
    await valkey.close()
    assert not gateway.faults
