"""Followers over the fake event log and over the one in Valkey, behind the same names."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.follower import ValkeyResponseChannels
from axon.deadlines import Deadlines
from axon.directory.connections import ConnectionDirectory
from axon.directory.models import ModelDirectory
from axon.directory.relays import RelayDirectory
from axon.event_log.follower import (
    FollowedEvents,
    PublicationListener,
    ResponseChannels,
    ResponseFollower,
)
from axon.event_log.log import EventLog, LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse
from axon.event_log.publication import Publication
from axon.testing.event_log import FakeValkey
from tests.support.clients import valkey_client
from tests.support.eventually import eventually
from tests.support.partial_loss import rewind, snapshot
from tests.support.principals import a_principal

TENANT = "t"
LOOK_S = 0.02
"""Seconds of silence after which the log is read: short, so that tests do not wait."""
RESTORE_S = 0.3
MakeFollower = Callable[..., AbstractAsyncContextManager["FollowerHarness"]]


class LossyChannels(ResponseChannels):
    """Passes publications on unless `loses` says otherwise."""

    def __init__(self, channels: ResponseChannels) -> None:
        self.loses: Callable[[], bool] = lambda: False
        self._channels = channels

    @contextmanager
    def listen(self, response_id: str, listener: PublicationListener) -> Iterator[None]:
        with self._channels.listen(response_id, _LossyListener(self, listener)):
            yield


class _LossyListener(PublicationListener):
    def __init__(self, channels: LossyChannels, listener: PublicationListener) -> None:
        self._channels = channels
        self._listener = listener

    def publish(self, publication: Publication) -> None:
        if not self._channels.loses():
            self._listener.publish(publication)

    def request_read(self) -> None:
        self._listener.request_read()


@dataclass
class Author:
    """Writes one response; `written` is every event so far."""

    log: EventLog
    response_id: str
    epoch: int = 0
    written: list[bytes] = field(default_factory=list)

    async def append(self, count: int = 1, *, status: Status = Status.IN_PROGRESS) -> None:
        """Append `count` events with one call."""
        first = len(self.written)
        types = ["response.output_text.delta"] * (count - 1)
        types.append("response.completed" if status.terminal else "response.output_text.delta")
        events = [
            LoggedEvent(number, b'{"type":"%b","n":%d}' % (kind.encode(), number), (number,))
            for number, kind in enumerate(types, start=first)
        ]
        await self.log.append(self.response_id, epoch=self.epoch, events=events, status=status)
        self.written += [event.data for event in events]

    async def complete(self) -> None:
        await self.append(status=Status.COMPLETED)

    async def restore(self, *, count: int | None = None) -> None:
        """Make the log again after a loss, with its first `count` events."""
        events = [LoggedEvent(n, data) for n, data in enumerate(self.written[:count])]
        await self.log.restore(
            LostResponse(
                response_id=self.response_id,
                tenant_id=TENANT,
                connection_id="c1",
                job=b"{}",
                age_ms=0,
                epoch=self.epoch,
                events=events,
                status=Status.IN_PROGRESS,
            )
        )


@dataclass(frozen=True, kw_only=True)
class FollowerHarness:
    """A follower, and what it follows.

    Parameters
    ----------
    subscribed : Callable[[], int]
        Number of responses whose publications reach this process.
    disconnect : Callable[[], Awaitable[None]]
        End the subscription's connection; it is made again.
    lose : Callable[[], Awaitable[None]]
        Lose all data, as a restart without a disk does.
    snapshot : Callable[[], object]
        Return all that is stored now.
    rewind : Callable[[Any], None]
        Lose what was written since a snapshot, as a failover to a replica that lags does.
    """

    follower: ResponseFollower
    channels: LossyChannels
    log: EventLog
    relays: RelayDirectory
    connections: ConnectionDirectory
    models: ModelDirectory
    subscribed: Callable[[], int]
    disconnect: Callable[[], Awaitable[None]]
    lose: Callable[[], Awaitable[None]]
    snapshot: Callable[[], object]
    rewind: Callable[[Any], None]

    async def prepare(self) -> None:
        await self.models.register(("echo",), retention_s=600)
        await self.relays.heartbeat("r1", lease_s=600)
        for connection_id in ("c1", "c2"):
            await self.connections.register(connection_id, principal=a_principal(TENANT))

    async def open(self, response_id: str = "resp_1", *, connection_id: str = "c1") -> Author:
        """Return a response with events 0 and 1."""
        author = Author(self.log, response_id)
        new = replace(NEW, response_id=response_id, connection_id=connection_id)
        await self.log.open(new)
        author.written = [NEW.created, IN_PROGRESS]
        author.epoch = (await self.log.claim(response_id, in_progress=IN_PROGRESS)).epoch
        return author

    def reader(self, author: Author, *, after: int = -1, pause_s: float = 0.0) -> "Reader":
        """Start a reader in a task of its own."""
        following = self.follower.follow(author.response_id, tenant_id=TENANT, after=after)
        return Reader(following, author, after=after, pause_s=pause_s)

    async def read(self, author: Author, *, after: int = -1) -> list[bytes]:
        """Return what a follower gets, to its end."""
        return [
            event.data
            async for event in self.follower.follow(
                author.response_id, tenant_id=TENANT, after=after
            )
        ]

    async def nobody_follows(self) -> None:
        await eventually(lambda: self.subscribed() == 0)


class Reader:
    """One follower in a task; `events` is what it has received, in order."""

    def __init__(
        self, following: FollowedEvents, author: Author, *, after: int = -1, pause_s: float = 0.0
    ) -> None:
        self.events: list[bytes] = []
        self._author = author
        self.first = after + 1
        self._pause_s = pause_s
        self.task = asyncio.create_task(self._run(following))

    async def _run(self, following: FollowedEvents) -> None:
        async with aclosing(following):
            async for event in following:
                assert event.sequence_number == self.first + len(self.events)
                assert event.token_ids == ()
                self.events.append(event.data)
                await asyncio.sleep(self._pause_s)

    async def has_all(self) -> None:
        """Wait until it has all that was written."""
        await eventually(
            lambda: self.task.done() or len(self.events) >= len(self._author.written) - self.first
        )
        self.check()

    async def ends(self) -> None:
        """Wait for its end; check that it has everything."""
        async with asyncio.timeout(20 + self._pause_s * len(self._author.written)):
            await self.task
        self.check()

    def check(self) -> None:
        assert self.events == self._author.written[self.first :]

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


NEW = NewResponse(
    response_id="resp_1",
    tenant_id=TENANT,
    connection_id="c1",
    model="echo",
    job=b"{}",
    created=b'{"type":"response.created","n":0}',
)
IN_PROGRESS = b'{"type":"response.in_progress","n":1}'


@asynccontextmanager
async def fake(
    *,
    cache_bytes: int = 1000,
    look_s: float = LOOK_S,
    restore_s: float = RESTORE_S,
    retention_s: float = 300.0,
) -> AsyncIterator[FollowerHarness]:
    valkey = FakeValkey(retention_s=retention_s)
    valkey.disconnected.add("r1")  # as in Valkey, where no relay subscribes in these tests

    async def disconnect() -> None:
        valkey.channels.connected = False
        asyncio.get_running_loop().call_later(0.01, valkey.channels.reconnect)

    async def lose() -> None:
        valkey.lose()

    channels = LossyChannels(valkey.channels)
    harness = FollowerHarness(
        follower=ResponseFollower(
            log=valkey,
            channels=channels,
            first_look_s=look_s,
            restore_s=restore_s,
            cache_bytes=cache_bytes,
        ),
        channels=channels,
        log=valkey,
        relays=valkey,
        connections=valkey,
        models=valkey.directory,
        subscribed=lambda: len(valkey.channels.listeners),
        disconnect=disconnect,
        lose=lose,
        snapshot=valkey.snapshot,
        rewind=valkey.rewind,
    )
    await harness.prepare()
    yield harness


@asynccontextmanager
async def real(
    url: str,
    *,
    cache_bytes: int = 1000,
    look_s: float = LOOK_S,
    restore_s: float = RESTORE_S,
    retention_s: float = 300.0,
) -> AsyncIterator[FollowerHarness]:
    async with valkey_client(url) as valkey, valkey_client(url) as admin, AsyncExitStack() as stack:
        log = ValkeyEventLog(
            valkey=valkey, deadlines=Deadlines(), retention_s=retention_s, resume_window_s=60
        )
        server = stack.enter_context(redis.Redis.from_url(url))
        subscription = ValkeyResponseChannels(valkey=valkey)
        running = asyncio.create_task(subscription.run())
        await eventually(lambda: subscription.connected)

        async def disconnect() -> None:
            await admin.call("CLIENT", "KILL", "TYPE", "pubsub")

        async def lose() -> None:
            await admin.call("FLUSHALL")

        channels = LossyChannels(subscription)
        harness = FollowerHarness(
            follower=ResponseFollower(
                log=log,
                channels=channels,
                first_look_s=look_s,
                restore_s=restore_s,
                cache_bytes=cache_bytes,
            ),
            channels=channels,
            log=log,
            relays=ValkeyRelayDirectory(valkey=valkey),
            connections=ValkeyConnectionDirectory(valkey=valkey),
            models=ValkeyModelDirectory(valkey=valkey),
            subscribed=lambda: len(subscription.channels - {subscription.own_channel}),
            disconnect=disconnect,
            lose=lose,
            snapshot=lambda: snapshot(server),
            rewind=lambda taken: rewind(server, taken),
        )
        await harness.prepare()
        yield harness
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
