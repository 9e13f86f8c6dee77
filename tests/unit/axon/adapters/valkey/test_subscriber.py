"""A subscription on a connection of the test's own."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from axon.adapters.valkey import subscriber
from axon.adapters.valkey.generation import Generations
from axon.adapters.valkey.subscriber import Subscriber
from tests.support.virtual_time import run


class LossyConnection:
    """Answers each subscription, is silent then, and loses the cancellation that ends that."""

    def __init__(self) -> None:
        self.subscriptions = 0
        self.generations = Generations()
        self.generation = ""
        self.connection = None

    @asynccontextmanager
    async def pubsub(self) -> Any:
        yield self

    async def subscribe(self, *_: bytes) -> None:
        self.subscriptions += 1
        self._answers = [(b"subscribe", b"own", b"1")]

    async def parse_response(self, *, block: bool) -> tuple[bytes, bytes, bytes]:
        assert block
        if self._answers:
            return self._answers.pop()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if self.subscriptions > 2:
                raise
        return (b"subscribe", b"own", b"1")


def test_subscriber_subscribes_again_though_the_end_of_its_wait_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> int:
        connection: Any = LossyConnection()
        connection.redis = connection
        receivers = {"own": lambda _: None}
        listening = Subscriber(valkey=connection, channel="own", receivers=receivers)
        task = asyncio.create_task(listening.run())
        await asyncio.sleep(3 * (subscriber.SILENCE_S + 1))
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return int(connection.subscriptions)

    assert run(story()) >= 3
    assert "subscribing again" in caplog.text
