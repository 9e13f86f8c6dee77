"""Fronts on a real Valkey, PostgreSQL and SQS."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from axon.adapters.api_keys import api_keys
from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresHistoryStore
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory
from axon.history import HistoryRecord
from tests.conftest import Servers
from tests.integration.front.front_harness import FrontHarness

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def write_history(
    sqs_client: "SQSClient", history_queue_url: str, pool: Pool
) -> Callable[[], Awaitable[int]]:
    """Return a function that writes the records in the queue; it returns how many there were."""

    async def write() -> int:
        written = 0
        while messages := sqs_client.receive_message(
            QueueUrl=history_queue_url, MaxNumberOfMessages=10
        ).get("Messages"):
            records = [HistoryRecord.decode(message["Body"]) for message in messages]
            await PostgresHistoryStore(pool=pool).write(records)
            for message in messages:
                sqs_client.delete_message(
                    QueueUrl=history_queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
            written += len(records)
        return written

    return write


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
