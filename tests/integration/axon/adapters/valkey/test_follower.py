"""The followers' subscription connection: dead, silent, unreachable, and written to by others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from axon.adapters.valkey import follower as module
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.follower import ValkeyResponseChannels
from axon.event_log.publication import Publication
from tests.support.clients import valkey_client
from tests.support.eventually import eventually
from tests.support.partial_loss import rewind, snapshot

CHANNEL = keys.response_channel("resp_1")


class Listener:
    """Counts what a reader of "resp_1" is given."""

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.generations: list[str] = []
        self.reads = 0

    def publish(self, publication: Publication) -> None:
        self.firsts.append(publication.first)
        self.generations.append(publication.generation)

    def request_read(self) -> None:
        self.reads += 1


@asynccontextmanager
async def running(channels: ValkeyResponseChannels) -> AsyncIterator[None]:
    task = asyncio.create_task(channels.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_channels_request_a_read_after_each_subscription(valkey: Valkey) -> None:
    channels, listener = ValkeyResponseChannels(valkey=valkey), Listener()
    async with running(channels):
        with channels.listen("resp_1", listener):
            for expected in (1, 2, 3):
                await eventually(lambda expected=expected: listener.reads == expected)  # type: ignore[misc]
                await valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: channels.channels == {channels.own_channel})


async def test_channels_subscribe_again_when_commands_go_to_another_generation(
    valkey: Valkey, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    channels, listener = ValkeyResponseChannels(valkey=valkey), Listener()
    async with running(channels):
        with channels.listen("resp_1", listener):
            await eventually(lambda: listener.reads == 1)
            before = valkey.generation
            with redis.Redis.from_url(valkey_url) as server:
                rewind(server, snapshot(server))  # the subscription stays
            await eventually(lambda: listener.reads == 2)
            await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 7 -\n{}")
            await eventually(lambda: listener.firsts == [7])
    assert listener.generations == [valkey.generation]
    assert valkey.generation != before


async def test_channels_subscribe_again_after_silence(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.2)
    monkeypatch.setattr(module, "HEARTBEAT_S", 60)
    channels, listener = ValkeyResponseChannels(valkey=valkey), Listener()
    async with running(channels):
        with channels.listen("resp_1", listener):
            await eventually(lambda: listener.reads == 3)
            await eventually(lambda: channels.connected)


async def test_channels_keep_an_idle_connection(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    channels, listener = ValkeyResponseChannels(valkey=valkey), Listener()
    async with running(channels):
        with channels.listen("resp_1", listener):
            await eventually(lambda: listener.reads == 1)
            await asyncio.sleep(0.5)
            assert channels.connected
        assert listener.reads == 1


async def test_channels_wait_for_a_valkey_that_is_unreachable(unused_tcp_port: int) -> None:
    async with valkey_client(f"redis://127.0.0.1:{unused_tcp_port}") as away:
        channels = ValkeyResponseChannels(valkey=away)
        async with running(channels):
            with channels.listen("resp_1", Listener()):
                await asyncio.sleep(0.3)
            assert not channels.connected


async def test_channels_skip_what_is_no_publication(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    channels, listener = ValkeyResponseChannels(valkey=valkey), Listener()
    async with running(channels):
        with channels.listen("resp_1", listener):
            await eventually(lambda: CHANNEL in channels.channels)
            reads = listener.reads
            await valkey.call("PUBLISH", CHANNEL, b"nonsense")
            await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 7 -\n{}")
            await eventually(lambda: listener.firsts == [7])
    assert "no readable publication: its header is something else" in caplog.text
    assert listener.reads == reads + 1


async def test_channels_pass_publications_to_all_listeners_while_they_listen(
    valkey: Valkey,
) -> None:
    channels, first, second = ValkeyResponseChannels(valkey=valkey), Listener(), Listener()
    async with running(channels):
        with channels.listen("resp_1", first):
            await eventually(lambda: CHANNEL in channels.channels)
            with channels.listen("resp_1", second):
                await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 0 -\n{}")
                await eventually(lambda: (first.firsts, second.firsts) == ([0], [0]))
            await valkey.call("PUBLISH", CHANNEL, b"resp_1 c 1 -\n{}")
            await eventually(lambda: first.firsts == [0, 1])
    assert second.firsts == [0]
