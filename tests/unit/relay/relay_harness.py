"""Relays' parts over fakes, and the clock that they share."""

import asyncio

from axon.event_log.log import ResponseMeta
from axon.event_log.publication import Publication
from axon.responses.finisher import ResponseFinisher
from axon.responses.sweeper import ResponseSweeper
from axon.responses.terminator import ResponseTerminator
from axon.testing.event_log import FakeValkey
from axon.testing.management_api import FakeConnections
from axon.testing.stores import FakeHistory, FakeTurns
from relay.completion import DeliveryCompletion
from relay.departure import Departure
from relay.dispatcher import Dispatcher
from relay.failover import Failover
from relay.lease import Lease
from relay.reconciler import DeliveryReconciler
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.relay.log_author_stub import MODEL, TENANT, Author

RELAY = "relay-a"
STOP_TIMEOUT_S = 20.0


class RelayParts:
    """One relay without its loops: a test takes their steps."""

    def __init__(self, harness: "RelayHarness", relay_id: str) -> None:
        self.relay_id = relay_id
        self.lags: list[float] = []
        self.taken_over: list[bool] = []
        self.completion = DeliveryCompletion(
            relay_id=relay_id,
            connections=harness.connections,
            directory=harness.valkey,
            log=harness.valkey,
        )
        self.dispatcher = Dispatcher(
            connections=harness.connections,
            log=harness.valkey,
            completion=self.completion,
            observe_lag=self.lags.append,
        )
        self.lease = Lease(
            relay_id=relay_id, directory=harness.valkey, length_s=3, clock=lambda: harness.now
        )
        self.failover = Failover(
            relay_id=relay_id,
            directory=harness.valkey,
            lease=self.lease,
            dispatcher=self.dispatcher,
            taken_over=self.taken_over.append,
        )
        self.reconciler = DeliveryReconciler(
            dispatcher=self.dispatcher,
            log=harness.valkey,
            directory=harness.valkey,
            relay_id=relay_id,
            clock=lambda: harness.now,
        )
        self.departure = Departure(
            relay_id=relay_id,
            dispatcher=self.dispatcher,
            lease=self.lease,
            directory=harness.valkey,
            log=harness.valkey,
            stop_timeout_s=STOP_TIMEOUT_S,
        )
        self.dispatcher.accept()


class RelayHarness:
    """`dispatcher` and `completion` are those of the first relay."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.valkey = FakeValkey(clock=lambda: self.now)
        self.connections = FakeConnections()
        self.terminator = ResponseTerminator(
            event_log=self.valkey,
            finisher=ResponseFinisher(history=FakeHistory(), turns=FakeTurns()),
        )
        self.sweeper = ResponseSweeper(index=self.valkey.due, terminator=self.terminator)
        self.relays: dict[str, RelayParts] = {}
        self.relay = self.make_relay(RELAY)
        self.dispatcher = self.relay.dispatcher
        self.completion = self.relay.completion
        self.lags = self.relay.lags
        self._pumped = 0

    def make_relay(self, relay_id: str) -> RelayParts:
        self.relays[relay_id] = RelayParts(self, relay_id)
        self.valkey.disconnected.discard(relay_id)
        return self.relays[relay_id]

    async def join(self, relay_id: str) -> RelayParts:
        """A relay that has just registered."""
        relay = self.make_relay(relay_id)
        await relay.lease.beat()
        return relay

    async def kill(self, relay: RelayParts) -> None:
        """It ends as with SIGKILL; its lease ends, and those of the others do not."""
        del self.relays[relay.relay_id]
        self.valkey.disconnected.add(relay.relay_id)
        await relay.dispatcher.cancel()
        await self.outlast()

    async def outlast(self) -> None:
        """End the leases of relays that are dead, or do not renew them."""
        for _ in range(2):  # a lease that is alive is renewed before it ends
            self.now += 2
            for relay in self.relays.values():
                await relay.lease.beat()

    async def end(self) -> None:
        self.connections.release()
        for relay in self.relays.values():
            await relay.dispatcher.cancel()

    async def begin(self, *connection_ids: str) -> None:
        await self.valkey.directory.register((MODEL,), retention_s=10_000)
        await self.relay.lease.beat()
        for connection_id in connection_ids:
            await self.valkey.register(connection_id, principal=a_principal(TENANT))

    async def open(self, connection_id: str, *, lane: str = "") -> Author:
        return await Author.open(self.valkey, connection_id, lane=lane)

    async def describe(self, author: Author) -> ResponseMeta:
        meta = await self.valkey.describe(author.response_id)
        assert meta is not None
        return meta

    def publications(self) -> list[Publication]:
        """Return what was published since the last call."""
        return [publication for _, publication in self._published()]

    def _published(self) -> list[tuple[str, Publication]]:
        payloads = self.valkey.published[self._pumped :]
        self._pumped += len(payloads)
        return [(relay_id, Publication.decode(payload)) for relay_id, payload in payloads]

    def pump(self) -> None:
        """Give each relay what was published to it since the last call."""
        for relay_id, publication in self._published():
            if relay := self.relays.get(relay_id):
                relay.dispatcher.receive(publication)

    def lose(self) -> None:
        """Lose what was published since the last call."""
        self.publications()

    async def received(self, author: Author, *, on: str = "", first: int = 0) -> None:
        """Wait until the client has exactly what was written, from event `first` on."""
        posts = self.connections.posts[on or author.connection_id]
        await eventually(lambda: len(posts) >= len(author.written) - first)
        assert posts == author.written[first:]

    async def completed(self, author: Author) -> None:
        """Wait until the checkpoint says that the client has everything."""
        async with asyncio.timeout(5):
            while True:
                checkpoint = (await self.describe(author)).checkpoint
                if checkpoint.certain and checkpoint.next_sequence == len(author.written):
                    return
                await asyncio.sleep(0.001)


async def begun(harness: RelayHarness, connection_id: str, *words: str) -> Author:
    """Return a response of which the client has all that was written."""
    author = await harness.open(connection_id)
    await author.say(*words)
    harness.pump()
    await harness.completed(author)
    return author
