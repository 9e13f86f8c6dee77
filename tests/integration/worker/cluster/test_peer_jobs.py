"""A worker's subscription to the jobs that peers hand over."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelChanges
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.directory.workers import WorkerState
from axon.jobs import ReceivedJob
from tests.support.clients import valkey_client
from tests.support.eventually import eventually
from worker.cluster.peer_jobs import PeerJobSubscriber

CHANNEL = "axon:worker:w1"


class SubscriberHarness:
    def __init__(self, valkey: Valkey, *, max_age_s: float = 10) -> None:
        self.valkey = valkey
        self.accepted: list[ReceivedJob] = []
        self.subscriptions = 0
        self.changed = asyncio.Event()
        self.directory = ValkeyWorkerDirectory(valkey=valkey)
        self.peer_jobs = PeerJobSubscriber(
            valkey=valkey,
            worker_id="w1",
            accept=self.accepted.append,
            models_changed=self.changed.set,
            subscribed=self._subscribed,
            max_age_s=max_age_s,
        )

    def _subscribed(self) -> None:
        self.subscriptions += 1

    async def send(self, number: int) -> str:
        received = ReceivedJob(
            body="{}", receipt_handle=f"r{number}", receive_count=1, message_id=f"m{number}"
        )
        return await self.directory.hand_over(received, own_id="w2", order=["w1"], bounded=False)

    async def publish(self, payload: bytes) -> None:
        await self.valkey.call("PUBLISH", CHANNEL, payload)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with valkey_client(valkey_url) as client:
        yield client


@pytest.fixture
async def harness(valkey: Valkey) -> AsyncIterator[SubscriberHarness]:
    harness = SubscriberHarness(valkey)
    await harness.directory.register(WorkerState("w1", slots=1, load=0, models=()))
    running = asyncio.create_task(harness.peer_jobs.run())
    await eventually(lambda: harness.subscriptions)
    yield harness
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_subscriber_passes_jobs_on_in_order(harness: SubscriberHarness) -> None:
    assert harness.peer_jobs.connected
    for number in range(50):
        assert await harness.send(number) == "w1"
    await harness.peer_jobs.catch_up()
    assert [received.receipt_handle for received in harness.accepted] == [
        f"r{n}" for n in range(50)
    ]
    assert all(received.forwarded for received in harness.accepted)


async def test_subscriber_reports_a_change_of_the_models(harness: SubscriberHarness) -> None:
    assert harness.changed.is_set()  # it may have missed one
    harness.changed.clear()
    await ValkeyModelChanges(valkey=harness.valkey).publish()
    async with asyncio.timeout(5):
        await harness.changed.wait()
    assert not harness.accepted


async def test_subscriber_subscribes_again_after_a_lost_connection(
    harness: SubscriberHarness,
) -> None:
    harness.changed.clear()
    await harness.valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: harness.subscriptions == 2)
    assert harness.peer_jobs.connected
    assert harness.changed.is_set()
    assert await harness.send(1) == "w1"
    await eventually(lambda: harness.accepted)


async def test_subscriber_gets_no_job_before_it_runs_or_after(valkey: Valkey) -> None:
    harness = SubscriberHarness(valkey)
    await harness.directory.register(WorkerState("w1", slots=1, load=0, models=()))
    assert not harness.peer_jobs.connected
    assert await harness.send(1) == "w2"
    running = asyncio.create_task(harness.peer_jobs.run())
    await eventually(lambda: harness.peer_jobs.connected)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await wait_until_disconnected(harness)
    assert not harness.accepted


async def wait_until_disconnected(harness: SubscriberHarness) -> None:
    """Wait until the server has noticed that the subscriber is gone."""
    async with asyncio.timeout(10):
        while await harness.valkey.call("PUBSUB", "NUMSUB", CHANNEL) != [CHANNEL.encode(), 0]:
            await asyncio.sleep(0.005)
    assert await harness.send(2) == "w2"


async def test_subscriber_drops_a_job_that_arrives_too_late(
    harness: SubscriberHarness, caplog: pytest.LogCaptureFixture
) -> None:
    now_ms = await harness.valkey.now_ms()
    for age_ms, receipt in ((11_000, "late"), (8_000, "in time")):
        received = ReceivedJob(body="{}", receipt_handle=receipt, receive_count=1)
        await harness.publish(f"{now_ms - age_ms}\n".encode() + received.encode())
    await harness.peer_jobs.catch_up()
    assert [received.receipt_handle for received in harness.accepted] == ["in time"]
    assert "11" in caplog.text


async def test_subscriber_logs_and_drops_what_is_not_a_job(
    harness: SubscriberHarness, caplog: pytest.LogCaptureFixture
) -> None:
    for payload in (b"nonsense", b"1\n{}", b'1\n{"format":2}'):
        await harness.publish(payload)
    await harness.send(1)
    await harness.peer_jobs.catch_up()
    assert len(harness.accepted) == 1
    assert "no readable handed_over_job: it does not begin with a time" in caplog.text
    assert "no readable handed_over_job: it has version 2" in caplog.text


async def test_subscriber_that_does_not_run_catches_up_at_once(valkey: Valkey) -> None:
    async with asyncio.timeout(1):
        await SubscriberHarness(valkey).peer_jobs.catch_up()


async def test_subscriber_stays_connected_by_its_pulse(harness: SubscriberHarness) -> None:
    await asyncio.sleep(4)  # longer than it bears silence
    assert harness.subscriptions == 1
    assert harness.peer_jobs.connected
