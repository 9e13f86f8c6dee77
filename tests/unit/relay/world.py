"""A relay's parts over fakes, and the clock that they share."""

import asyncio
from collections.abc import Callable

from axon.responses import ResponseEnder
from axon.testing.connections import FakeConnections
from axon.testing.event_log import FakeValkey
from axon.testing.stores import FakeHistory
from relay.feeds import Feeds
from relay.publication import Publication
from relay.settlement import Settlement
from tests.unit.relay.author import MODEL, TENANT, Author

RELAY = "relay-a"


async def until(condition: Callable[[], bool], *, deadline_s: float = 5) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.001)


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.valkey = FakeValkey(clock=lambda: self.now)
        self.connections = FakeConnections()
        self.ender = ResponseEnder(event_log=self.valkey, history=FakeHistory())
        self.settlement = Settlement(
            relay_id=RELAY,
            connections=self.connections,
            directory=self.valkey,
            ender=self.ender,
        )
        self.lags: list[float] = []
        self.feeds = Feeds(
            connections=self.connections,
            log=self.valkey,
            settlement=self.settlement,
            lagged=self.lags.append,
        )
        self.feeds.accept()
        self._pumped = 0

    async def begin(self, *connection_ids: str, relay_id: str = RELAY) -> None:
        await self.valkey.announce((MODEL,), retention_s=10_000)
        await self.valkey.heartbeat(relay_id, lease_s=3)
        for connection_id in connection_ids:
            await self.valkey.enter(connection_id, tenant_id=TENANT)

    async def open(self, connection_id: str, *, stream_id: str | None = None) -> Author:
        return await Author.open(self.valkey, connection_id, stream_id=stream_id)

    def publications(self) -> list[Publication]:
        """What was published since this was last asked."""
        payloads = self.valkey.published[self._pumped :]
        self._pumped += len(payloads)
        return [Publication.decode(payload) for _, payload in payloads]

    def pump(self) -> None:
        for publication in self.publications():
            self.feeds.receive(publication)

    def lose(self) -> None:
        """Nobody hears what was published since it was last asked."""
        self.publications()

    async def received(self, author: Author) -> None:
        """Wait until the client has exactly what was written."""
        posts = self.connections.posts[author.connection_id]
        await until(lambda: len(posts) >= len(author.written))
        assert posts == author.written
