"""A worker's subscription: what arrives, what is too late, and what it does after a loss."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelChanges
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.directory.workers import WorkerState
from axon.jobs import ReceivedJob
from tests.clients import valkey_client
from tests.support.eventually import eventually
from worker.cluster.peer_jobs import PeerJobSubscriber

CHANNEL = "axon:worker:w1"


class Mail:
    def __init__(self, valkey: Valkey, *, latest_s: float = 10) -> None:
        self.valkey = valkey
        self.accepted: list[ReceivedJob] = []
        self.listening = 0
        self.changed = asyncio.Event()
        self.directory = ValkeyWorkerDirectory(valkey=valkey)
        self.peer_jobs = PeerJobSubscriber(
            valkey=valkey,
            worker_id="w1",
            accept=self.accepted.append,
            models_changed=self.changed.set,
            listening=self._listens,
            latest_s=latest_s,
        )

    def _listens(self) -> None:
        self.listening += 1

    async def send(self, number: int) -> str:
        delivery = ReceivedJob(
            body="{}", receipt_handle=f"r{number}", receive_count=1, message_id=f"m{number}"
        )
        return await self.directory.hand_over(delivery, own_id="w2", order=["w1"], bounded=False)

    async def publish(self, payload: bytes) -> None:
        await self.valkey.call("PUBLISH", CHANNEL, payload)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with valkey_client(valkey_url) as client:
        yield client


@pytest.fixture
async def mail(valkey: Valkey) -> AsyncIterator[Mail]:
    mail = Mail(valkey)
    await mail.directory.announce(WorkerState("w1", slots=1, load=0, models=()))
    running = asyncio.create_task(mail.peer_jobs.run())
    await eventually(lambda: mail.listening)
    yield mail
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_handed_over_is_handed_on_in_order(mail: Mail) -> None:
    assert mail.peer_jobs.hears
    for number in range(50):
        assert await mail.send(number) == "w1"
    await mail.peer_jobs.catch_up()
    assert [delivery.receipt_handle for delivery in mail.accepted] == [f"r{n}" for n in range(50)]
    assert all(delivery.forwarded for delivery in mail.accepted)


async def test_a_change_of_the_models_is_told(mail: Mail) -> None:
    assert mail.changed.is_set()  # it may have missed one
    mail.changed.clear()
    await ValkeyModelChanges(valkey=mail.valkey).publish()
    async with asyncio.timeout(5):
        await mail.changed.wait()
    assert not mail.accepted


async def test_it_listens_again_after_a_loss(mail: Mail) -> None:
    mail.changed.clear()
    await mail.valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: mail.listening == 2)
    assert mail.peer_jobs.hears
    assert mail.changed.is_set()
    assert await mail.send(1) == "w1"
    await eventually(lambda: mail.accepted)


async def test_nobody_listens_before_it_does_or_after(valkey: Valkey) -> None:
    mail = Mail(valkey)
    await mail.directory.announce(WorkerState("w1", slots=1, load=0, models=()))
    assert not mail.peer_jobs.hears
    assert await mail.send(1) == "w2"
    running = asyncio.create_task(mail.peer_jobs.run())
    await eventually(lambda: mail.peer_jobs.hears)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await deaf(mail)
    assert not mail.accepted


async def deaf(mail: Mail) -> None:
    """Wait until the server has noticed that nobody listens."""
    async with asyncio.timeout(10):
        while await mail.valkey.call("PUBSUB", "NUMSUB", CHANNEL) != [CHANNEL.encode(), 0]:
            await asyncio.sleep(0.005)
    assert await mail.send(2) == "w2"


async def test_what_comes_too_late_is_left(mail: Mail, caplog: pytest.LogCaptureFixture) -> None:
    now_ms = await mail.valkey.now_ms()
    for age_ms, receipt in ((11_000, "late"), (8_000, "in time")):
        delivery = ReceivedJob(body="{}", receipt_handle=receipt, receive_count=1)
        await mail.publish(f"{now_ms - age_ms}\n".encode() + delivery.encode())
    await mail.peer_jobs.catch_up()
    assert [delivery.receipt_handle for delivery in mail.accepted] == ["in time"]
    assert "11" in caplog.text


async def test_what_is_no_job_is_told_and_left(
    mail: Mail, caplog: pytest.LogCaptureFixture
) -> None:
    for payload in (b"nonsense", b"1\n{}"):
        await mail.publish(payload)
    await mail.send(1)
    await mail.peer_jobs.catch_up()
    assert len(mail.accepted) == 1
    assert "nonsense" in caplog.text


async def test_catching_up_with_nobody_listening_ends_at_once(valkey: Valkey) -> None:
    async with asyncio.timeout(1):
        await Mail(valkey).peer_jobs.catch_up()


async def test_a_pulse_keeps_it_listening(mail: Mail) -> None:
    await asyncio.sleep(4)  # longer than it bears silence
    assert mail.listening == 1
    assert mail.peer_jobs.hears
