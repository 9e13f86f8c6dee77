"""The fakes and the real adapters behind the same names: what holds for one holds for both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
import redis

from axon.adapters.valkey.attendance import ValkeyAttendance
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.fences import ValkeyFences
from axon.adapters.valkey.keys import relay_channel
from axon.deadlines import Deadlines
from axon.directory.connections import ConnectionDirectory
from axon.directory.models import ModelDirectory
from axon.directory.relays import RelayDirectory
from axon.event_log.attendance import Attendance, attendance_window_s
from axon.event_log.due import DueIndex
from axon.event_log.fence import Fences
from axon.event_log.log import EventLog
from axon.testing.event_log import FakeValkey
from axon.testing.fences import FakeFences
from tests.support.clients import valkey_client
from tests.support.partial_loss import rewind, snapshot
from tests.support.principals import a_principal

Kind = Literal["fake", "real", "repeated"]
RELAYS = ("r0", "r1", "r2", "r3", "ra", "rb", "rc")
TEST_LEASE_S = 0.3
"""Lease of what is taken from an index, so short that its end can be awaited."""
MakeHarness = Callable[..., AbstractAsyncContextManager["EventLogHarness"]]


@dataclass(frozen=True, kw_only=True)
class EventLogHarness:
    """Valkey's parts under test. `published` returns what was published since its last call.

    All of `RELAYS` listen, unless they are disconnected. An extension of a followed response takes
    `attendance_s` of the maker for the resume window, so that a test need not extend in time.
    `lose` takes everything away, as a restart without a disk does. `rewind` takes away what was
    written since a `snapshot`, as a failover to a replica that lags does.
    """

    log: EventLog
    fences: Fences
    attendance: Attendance
    due: DueIndex
    other_due: DueIndex
    relays: RelayDirectory
    other_relays: RelayDirectory
    models: ModelDirectory
    connections: ConnectionDirectory
    published: Callable[[], list[tuple[str, bytes]]]
    seconds: Callable[[float], Awaitable[None]]
    disconnect: Callable[[str], None]
    lose: Callable[[], None]
    snapshot: Callable[[], object]
    rewind: Callable[[Any], None]


class RepeatingValkey(Valkey):
    """Runs each script twice: so does a client that has not received the first answer."""

    async def call(self, *command: Any) -> Any:
        if command[0] in ("EVALSHA", "EVAL"):
            await super().call(*command)
        return await super().call(*command)


@pytest.fixture(params=["fake", "real", "repeated"])
def kind(request: pytest.FixtureRequest) -> Kind:
    name: Kind = request.param
    return name


@pytest.fixture
def make_harness(kind: Kind, request: pytest.FixtureRequest) -> MakeHarness:
    """Return a maker of harnesses: an asynchronous context manager."""
    if kind == "fake":
        return _fake
    url: str = request.getfixturevalue("valkey_url")
    return partial(_real, url, make=RepeatingValkey if kind == "repeated" else Valkey)


@pytest.fixture
async def harness(make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
    """Yield a harness with relay "r1", model "echo" and connection "c1"."""
    async with make_harness() as made:
        await made.models.register(("echo",), retention_s=600)
        await made.relays.heartbeat("r1", lease_s=600)
        await made.connections.register("c1", principal=a_principal())
        yield made


@asynccontextmanager
async def _fake(
    *,
    deadline_s: float = 600.0,
    deadlines: Deadlines | None = None,
    retention_s: float = 300.0,
    resume_window_s: float = 60.0,
    attendance_s: float = 60.0,
    models: Collection[str] = (),
) -> AsyncIterator[EventLogHarness]:
    now = 1000.0

    async def seconds(count: float) -> None:
        nonlocal now
        now += count

    def published() -> list[tuple[str, bytes]]:
        taken = list(fake.published)
        fake.published.clear()
        return taken

    fake = FakeValkey(
        deadlines=deadlines or Deadlines(queue_s=deadline_s),
        retention_s=retention_s,
        resume_window_s=resume_window_s,
        models=models,
        clock=lambda: now,
    )
    fake.due.lease_s = TEST_LEASE_S
    fake.attendance.window_s = attendance_window_s(attendance_s)
    yield EventLogHarness(
        log=fake,
        fences=FakeFences(fake),
        attendance=fake.attendance,
        due=fake.due,
        other_due=fake.due,
        relays=fake,
        other_relays=fake,
        models=fake.directory,
        connections=fake,
        published=published,
        seconds=seconds,
        disconnect=fake.disconnected.add,
        lose=fake.lose,
        snapshot=fake.snapshot,
        rewind=fake.rewind,
    )


@asynccontextmanager
async def _real(
    url: str,
    *,
    make: type[Valkey] = Valkey,
    deadline_s: float = 600.0,
    deadlines: Deadlines | None = None,
    retention_s: float = 300.0,
    resume_window_s: float = 60.0,
    attendance_s: float = 60.0,
    models: Collection[str] = (),
) -> AsyncIterator[EventLogHarness]:
    async with valkey_client(url, make=make) as valkey, valkey_client(url) as other:
        with redis.Redis.from_url(url) as admin, admin.pubsub() as subscriber:
            subscriber.subscribe(*map(relay_channel, RELAYS))
            _messages(subscriber)
            deadlines = deadlines or Deadlines(queue_s=deadline_s)
            indexes = [
                ValkeyDueIndex(
                    valkey=client,
                    deadlines=deadlines,
                    retention_s=retention_s,
                    lease_s=TEST_LEASE_S,
                )
                for client in (valkey, other)
            ]
            yield EventLogHarness(
                due=indexes[0],
                other_due=indexes[1],
                log=ValkeyEventLog(
                    valkey=valkey,
                    deadlines=deadlines,
                    retention_s=retention_s,
                    resume_window_s=resume_window_s,
                    models=models,
                ),
                fences=ValkeyFences(valkey=valkey),
                attendance=ValkeyAttendance(
                    valkey=valkey,
                    resume_window_s=attendance_s,
                    retention_s=retention_s,
                    deadlines=deadlines,
                ),
                relays=ValkeyRelayDirectory(valkey=valkey),
                other_relays=ValkeyRelayDirectory(valkey=other),
                models=ValkeyModelDirectory(valkey=valkey),
                connections=ValkeyConnectionDirectory(valkey=valkey),
                published=lambda: _messages(subscriber),
                seconds=asyncio.sleep,
                disconnect=lambda relay_id: subscriber.unsubscribe(relay_channel(relay_id)),
                lose=admin.flushall,
                snapshot=lambda: snapshot(admin),
                rewind=lambda taken: rewind(admin, taken),
            )


def _messages(subscriber: "redis.client.PubSub") -> list[tuple[str, bytes]]:
    """Return the messages so far: the server answers a ping after what it published before."""
    subscriber.ping()
    messages: list[tuple[str, bytes]] = []
    while True:
        message = subscriber.get_message(timeout=5)
        assert message is not None
        if message["type"] == "pong":
            return messages
        if message["type"] == "message":
            channel = message["channel"].decode().removeprefix("axon:relay:")
            messages.append((channel, message["data"]))
