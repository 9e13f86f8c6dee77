"""One connection's writer over fakes."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import LoggedEvent
from axon.event_log.publication import Kind, Publication
from axon.testing.event_log import FakeValkey
from axon.testing.management_api import FakeConnections
from relay.connection_writer import ConnectionWriter, Ending
from relay.cursor import DeliveryCursor


class WriterHarness:
    """One connection's writer; `delivered` are the responses that need no more posts."""

    def __init__(self) -> None:
        self.connections = FakeConnections()
        self.log = ScriptedLog()
        self.now = 1000.0
        self.delivered: list[str] = []
        self.moved: list[str] = []
        self.halted: list[str] = []
        self.lags: list[float] = []
        self.after_post: Callable[[], None] = lambda: None
        self.completed = asyncio.Event()
        self.completed.set()
        self.writer = ConnectionWriter(
            relay_id="relay-a",
            connection_id="c1",
            connections=self.connections,
            log=self.log,
            observe_lag=self._lag,
            clock=lambda: self.now,
        )

    @property
    def posts(self) -> list[bytes]:
        return self.connections.posts["c1"]

    def delivery(self, response_id: str = "resp_1") -> DeliveryCursor:
        delivery = DeliveryCursor(
            response_id=response_id, connection_id="c1", generation=self.log.generation
        )
        self.writer.add(delivery)
        return delivery

    def publish(
        self,
        delivery: DeliveryCursor,
        first: int,
        *events: bytes,
        terminal: bool = False,
        granted: bool = False,
    ) -> None:
        kind = Kind.LAST_EVENTS if terminal else Kind.EVENTS
        delivery.publish(
            Publication(delivery.response_id, "c1", first, kind, events, granted=granted)
        )
        self.writer.wake(delivery)

    async def run(self) -> None:
        """Run the writer as its pool does."""
        async with aclosing(self.writer.run()) as endings:
            async for ended in endings:
                match ended.ending:
                    case Ending.MOVED:
                        self.moved.append(ended.delivery.response_id)
                    case Ending.HALTED:
                        self.halted.append(ended.delivery.response_id)
                    case Ending.DELIVERED:
                        await self._deliver(ended.delivery)

    def _lag(self, seconds: float) -> None:
        self.lags.append(seconds)
        self.after_post()

    async def _deliver(self, delivery: DeliveryCursor) -> None:
        await self.completed.wait()
        self.delivered.append(delivery.response_id)


class ScriptedLog(FakeValkey):
    """Serves `events`, keeps `checkpoints`; raises `failures` and `checkpoint_failures` first."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes] = []
        self.failures: list[Exception] = []
        self.checkpoints: list[tuple[str, str]] = []
        self.checkpoint_failures: list[Exception | None] = []
        self.limits: list[int | None] = []
        self.held = ""
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    def hold(self, call: str) -> None:
        """Hold calls to `read` or `checkpoint` until `released`; `reached` is set by the first."""
        self.held = call

    async def _pass(self, call: str) -> None:
        await asyncio.sleep(0)
        if call == self.held:
            self.reached.set()
            await self.released.wait()

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        await self._pass("read")
        if self.failures:
            raise self.failures.pop(0)
        self.limits.append(limit)
        numbered = [LoggedEvent(number, data) for number, data in enumerate(self.events)]
        return numbered[after + 1 :][:limit]

    async def checkpoint(
        self,
        response_id: str,
        checkpoint: DeliveryCheckpoint,
        *,
        relay_id: str,
        connection_id: str,
        order: int = 0,
    ) -> None:
        assert (relay_id, connection_id) == ("relay-a", "c1")
        await self._pass("checkpoint")
        if self.checkpoint_failures and (error := self.checkpoint_failures.pop(0)):
            raise error
        self.checkpoints.append((response_id, checkpoint.encode().decode()))

    @property
    def last_checkpoints(self) -> dict[str, str]:
        """The last checkpoint of each response."""
        return dict(self.checkpoints)
