"""Workers that leave: what others hand over to them goes back long before its time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from axon.adapters.aws.sqs import SqsJobQueue
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.jobs import Job, ReceivedJob
from tests.integration.worker.cluster_harness import ClusterHarness
from tests.integration.worker.conftest import WorkerHarness, sqs_api
from tests.integration.worker.test_worker_death import exactly
from tests.support.clients import valkey_client


@pytest.fixture
def visibility_s() -> int:
    return 60


@pytest.fixture
def cluster(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> ClusterHarness:
    return ClusterHarness(harness, monkeypatch)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with valkey_client(valkey_url) as client:
        yield client


async def receive_one(harness: WorkerHarness) -> ReceivedJob:
    """Receive a job as a worker would."""
    api = sqs_api(harness.variables["AXON_JOBS_QUEUE_URL"])
    try:
        (received,) = await SqsJobQueue(api=api).receive(limit=1)
    finally:
        await api.close()
    return received


async def test_worker_that_drains_releases_jobs_that_still_arrive(
    harness: WorkerHarness, cluster: ClusterHarness, valkey: Valkey
) -> None:
    directory = ValkeyWorkerDirectory(valkey=valkey)
    late = await harness.submit(input="count to 3")
    received = await receive_one(harness)
    async with AsyncExitStack() as stack:
        stopped = asyncio.Event()
        await stack.enter_async_context(cluster.workers("w2", slots="1", echo_token_ms="10"))
        long = await harness.submit(input="count to 600")
        await harness.logged(long, count=4)
        (state,) = await directory.list()
        leaving = asyncio.create_task(closed(stack.pop_all(), stopped))
        async with asyncio.timeout(5):
            while await directory.list():
                await asyncio.sleep(0.01)
        # As one does whose script ran just before.
        await directory.register(state)
        chosen = await directory.hand_over(received, own_id="w1", order=["w2"], bounded=False)
        assert chosen == "w2"
        await directory.remove("w2")
        assert not stopped.is_set()
    began = time.monotonic()
    async with cluster.workers("w1"):
        await exactly(harness, late, count=3)
        assert time.monotonic() - began < 20
        await exactly(harness, long, count=600)
        await leaving
    assert (await harness.describe(late)).epoch == 1
    assert cluster.ran[late] == [(Job.decode(received.body).conversation_id, "w1", False)]
    await harness.done()


async def closed(stack: AsyncExitStack, stopped: asyncio.Event) -> None:
    await stack.aclose()
    stopped.set()
