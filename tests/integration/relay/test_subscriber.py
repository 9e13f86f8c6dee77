import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey import subscriber
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyRelayDirectory
from axon.event_log.publication import Publication
from relay.subscriber import RelaySubscriber
from tests.support.eventually import eventually

CHANNEL = "axon:relay:r"


class Heard:
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
async def heard(valkey: Valkey) -> AsyncIterator[Heard]:
    heard = Heard(valkey)
    running = asyncio.create_task(heard.subscriber.run())
    await heard.subscriber.subscribed.wait()
    yield heard
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_hears_publications_in_order(valkey: Valkey, heard: Heard) -> None:
    for number in range(100):
        await valkey.call("PUBLISH", CHANNEL, b"resp_1 c %d -\n{}" % number)
    await eventually(lambda: len(heard.publications) == 100)
    assert [publication.first for publication in heard.publications] == list(range(100))


async def test_hears_when_a_relay_leaves(valkey: Valkey, heard: Heard) -> None:
    await ValkeyRelayDirectory(valkey=valkey).end_lease("another")
    async with asyncio.timeout(5):
        await heard.left.wait()
    assert not heard.publications


async def test_tells_when_it_had_to_subscribe_again(valkey: Valkey, heard: Heard) -> None:
    for expected in (2, 3):
        await valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda expected=expected: heard.subscriptions == expected)  # type: ignore[misc]
    await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 0 -\n{}")
    await eventually(lambda: len(heard.publications) == 1)


async def test_silence_makes_it_subscribe_again(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "SILENCE_S", 0.3)
    heard = Heard(valkey)
    running = asyncio.create_task(heard.subscriber.run())
    await eventually(lambda: heard.subscriptions == 3)  # nobody pulses
    assert heard.subscriber.connected
    for _ in range(10):
        await heard.subscriber.pulse()
        await asyncio.sleep(0.1)
    assert heard.subscriptions <= 4
    assert heard.subscriber.connected
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_does_not_hear_before_it_has_subscribed(valkey: Valkey) -> None:
    assert not Heard(valkey).subscriber.connected


async def test_what_is_no_publication_is_told_and_left(
    valkey: Valkey, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    await valkey.call("PUBLISH", CHANNEL, b"nonsense")
    await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 0 -\n{}")
    await eventually(lambda: len(heard.publications) == 1)
    assert "nonsense" in caplog.text
