import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey import generation, subscriber
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyRelayDirectory
from axon.event_log.publication import Publication
from relay.subscriber import RelaySubscriber
from tests.support.eventually import eventually

CHANNEL = "axon:relay:r"


class SubscriberHarness:
    def __init__(self, valkey: Valkey) -> None:
        self.publications: list[Publication] = []
        self.subscriptions = 0
        self.left = asyncio.Event()
        self.subscriber = RelaySubscriber(
            valkey=valkey,
            relay_id="r",
            receive=self.publications.append,
            resubscribed=self._resubscribed,
            relay_left=self.left.set,
        )

    def _resubscribed(self) -> None:
        self.subscriptions += 1


@pytest.fixture
async def harness(valkey: Valkey) -> AsyncIterator[SubscriberHarness]:
    harness = SubscriberHarness(valkey)
    running = asyncio.create_task(harness.subscriber.run())
    await harness.subscriber.subscribed.wait()
    yield harness
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_subscriber_receives_publications_in_order(
    valkey: Valkey, harness: SubscriberHarness
) -> None:
    for number in range(100):
        await valkey.call("PUBLISH", CHANNEL, b"resp_1 c %d -\n{}" % number)
    await eventually(lambda: len(harness.publications) == 100)
    assert [publication.first for publication in harness.publications] == list(range(100))


async def test_subscriber_is_notified_when_a_relay_leaves(
    valkey: Valkey, harness: SubscriberHarness
) -> None:
    await ValkeyRelayDirectory(valkey=valkey).end_lease("another")
    async with asyncio.timeout(5):
        await harness.left.wait()
    assert not harness.publications


async def test_subscriber_reports_each_new_subscription(
    valkey: Valkey, harness: SubscriberHarness
) -> None:
    for expected in (2, 3):
        await valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda expected=expected: harness.subscriptions == expected)  # type: ignore[misc]
    await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 0 -\n{}")
    await eventually(lambda: len(harness.publications) == 1)


async def test_subscriber_subscribes_again_after_silence(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "SILENCE_S", 0.3)
    harness = SubscriberHarness(valkey)
    running = asyncio.create_task(harness.subscriber.run())
    await eventually(lambda: harness.subscriptions == 3)  # nobody pulses
    assert harness.subscriber.connected
    for _ in range(10):
        await harness.subscriber.pulse()
        await asyncio.sleep(0.1)
    assert harness.subscriptions <= 4
    assert harness.subscriber.connected
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_subscriber_is_disconnected_before_it_has_subscribed(valkey: Valkey) -> None:
    assert not SubscriberHarness(valkey).subscriber.connected


async def test_subscriber_logs_and_skips_what_is_no_publication(
    valkey: Valkey, harness: SubscriberHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await valkey.call("PUBLISH", CHANNEL, b"nonsense")
    await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 0 - v2\n{}")
    await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 0 -\n{}")
    await eventually(lambda: len(harness.publications) == 1)
    assert "no readable publication: its header is something else" in caplog.text
    assert "no readable publication: it has version 2" in caplog.text


async def test_subscriber_follows_the_generation_of_its_server(
    valkey: Valkey, harness: SubscriberHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes another id without a loss, when its first replica is attached."""
    monkeypatch.setattr(generation, "READ_AGAIN_S", 0.05)
    before = harness.subscriber.generation
    await valkey.call("REPLICAOF", "127.0.0.1", "1")
    await valkey.call("REPLICAOF", "NO", "ONE")
    async with asyncio.timeout(20):
        while harness.subscriber.generation in ("", before):
            await harness.subscriber.pulse()
            await asyncio.sleep(0.01)
    assert harness.subscriber.generation == valkey.generation
    assert harness.subscriptions == 2
