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
from tests.clients import valkey_client
from tests.integration.worker.cluster_harness import Beside
from tests.integration.worker.conftest import World, sqs_api
from tests.integration.worker.test_worker_death import exactly


@pytest.fixture
def visibility_s() -> int:
    return 60


@pytest.fixture
def beside(world: World, monkeypatch: pytest.MonkeyPatch) -> Beside:
    return Beside(world, monkeypatch)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with valkey_client(valkey_url) as client:
        yield client


async def received(world: World) -> ReceivedJob:
    """Receive a job as a worker would."""
    api = sqs_api(world.variables["AXON_JOBS_QUEUE_URL"])
    try:
        (delivery,) = await SqsJobQueue(api=api).receive(limit=1)
    finally:
        await api.close()
    return delivery


async def test_a_worker_that_drains_gives_back_what_still_arrives(
    world: World, beside: Beside, valkey: Valkey
) -> None:
    directory = ValkeyWorkerDirectory(valkey=valkey)
    late = await world.submit(input="count to 3")
    delivery = await received(world)
    async with AsyncExitStack() as stack:
        stopped = asyncio.Event()
        await stack.enter_async_context(beside.workers("w2", slots="1", echo_token_ms="10"))
        long = await world.submit(input="count to 600")
        await world.logged(long, count=4)
        (state,) = await directory.list()
        leaving = asyncio.create_task(closed(stack.pop_all(), stopped))
        async with asyncio.timeout(5):
            while await directory.list():
                await asyncio.sleep(0.01)
        # As one does whose script ran just before.
        await directory.register(state)
        chosen = await directory.hand_over(delivery, own_id="w1", order=["w2"], bounded=False)
        assert chosen == "w2"
        await directory.remove("w2")
        assert not stopped.is_set()
    began = time.monotonic()
    async with beside.workers("w1"):
        await exactly(world, late, count=3)
        assert time.monotonic() - began < 20
        await exactly(world, long, count=600)
        await leaving
    assert (await world.describe(late)).epoch == 1
    assert beside.ran[late] == [(Job.decode(delivery.body).conversation_id, "w1", False)]
    await world.done()


async def closed(stack: AsyncExitStack, stopped: asyncio.Event) -> None:
    await stack.aclose()
    stopped.set()
