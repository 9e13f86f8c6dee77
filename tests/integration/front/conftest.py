"""Fronts on a real Valkey, PostgreSQL and SQS."""

import pytest

from axon.adapters.api_keys import api_keys
from axon.adapters.postgres.pool import Pool
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory
from tests.conftest import Servers
from tests.integration.front.front_harness import FrontHarness


@pytest.fixture
async def harness(
    servers: Servers,
    valkey: Valkey,
    valkey_url: str,
    pool: Pool,
    app_dsn: str,
    jobs_queue_url: str,
    history_queue_url: str,
) -> FrontHarness:
    """Fronts and workers to start, the model "echo", and a key."""
    await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
    keys = api_keys(valkey=valkey, pool=pool)
    key, secret = await keys.create(tenant_id="t", name="test")
    variables = {
        "AXON_VALKEY_URL": valkey_url,
        "AXON_POSTGRES_DSN": app_dsn,
        "AXON_JOBS_QUEUE_URL": jobs_queue_url,
        "AXON_HISTORY_QUEUE_URL": history_queue_url,
        "AXON_ENGINE": "echo",
        "AXON_STOP_TIMEOUT_S": "5",
    }
    return FrontHarness(
        variables=variables, keys=keys, servers=servers, secret=secret, key_id=key.key_id
    )
