"""Relays in this process and in their own, over real servers and a strict `@connections`."""

import asyncio
import hashlib
import os
import re
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.deadlines import Deadlines
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import ResponseMeta, Status
from axon.serialization import loads
from axon.settings import RelaySettings
from relay.app import serve
from tests.support.principals import a_principal
from tests.unit.axon.adapters.aws.gateway_stub import StrictGateway
from tests.unit.relay.log_author_stub import MODEL, TENANT, Author

RELAY = "relay-a"
DEADLINE_S = 40
"""Time limit in seconds of every wait: the machine may be very busy."""
CONNECTIONS = tuple(f"c{number}=" for number in range(8))


async def write(author: Author, words: int, *, pause_s: float = 0.0) -> None:
    for number in range(words):
        await author.say(f"{number} ")
        await asyncio.sleep(pause_s)
    await author.complete()


class RelayHarness:
    def __init__(
        self, *, valkey: Valkey, valkey_url: str, gateway: StrictGateway, history_url: str
    ) -> None:
        self.valkey = valkey
        self.gateway = gateway
        self.log = new_log(valkey)
        self.silent_log = _silent(new_log(valkey))
        self.directory = ValkeyRelayDirectory(valkey=valkey)
        self._environ = {
            "AXON_VALKEY_URL": valkey_url,
            "AXON_CONNECTIONS_ENDPOINT": gateway.endpoint,
            "AXON_HISTORY_QUEUE_URL": history_url,
            "AXON_RELAY_ID": RELAY,
            "AXON_STOP_TIMEOUT_S": "10",
        }
        self.processes: list[Process] = []
        self._names: dict[int, str] = {}

    async def begin(self) -> None:
        await ValkeyModelDirectory(valkey=self.valkey).register((MODEL,), retention_s=600)
        connections = ValkeyConnectionDirectory(valkey=self.valkey)
        for connection_id in CONNECTIONS:
            await connections.register(connection_id, principal=a_principal(TENANT))

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def relay(self, **changes: str) -> AsyncIterator[None]:
        """A relay in this process; ends with the block, in its own way."""
        environ = self._environ | {f"AXON_{name.upper()}": text for name, text in changes.items()}
        settings = RelaySettings.from_environ(environ)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, stop=stop))
        try:
            await self.registered(settings.relay_id)
            yield
        finally:
            stop.set()
            await serving

    async def spawn(self, **changes: str) -> Process:
        """A relay in its own process; ready to be killed."""
        environ = self._environ | {f"AXON_{name.upper()}": text for name, text in changes.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay", env={**os.environ, **environ}
        )
        self.processes.append(process)
        self._names[process.pid] = environ["AXON_RELAY_ID"]
        return process

    async def kill(self, process: Process) -> None:
        """Kill it, and wait until Valkey has noticed."""
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        channel = keys.relay_channel(self._names[process.pid])
        async with asyncio.timeout(DEADLINE_S):
            while (await self.valkey.call("PUBSUB", "NUMSUB", channel))[1]:
                await asyncio.sleep(0.001)

    async def registered(self, relay_id: str = RELAY) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while (await self.lease_of(relay_id) or 0) < time.time() * 1000:
                await asyncio.sleep(0.01)

    async def lease_of(self, relay_id: str) -> float | None:
        score: bytes | float | None = await self.valkey.call("ZSCORE", keys.RELAYS, relay_id)
        return None if score is None else float(score)

    async def describe(self, author: Author) -> ResponseMeta:
        meta = await self.log.describe(author.response_id)
        assert meta is not None
        return meta

    async def completed(self, *authors: Author) -> None:
        """Wait until the checkpoints say that the clients have everything."""
        async with asyncio.timeout(DEADLINE_S):
            for author in authors:
                while (await self.describe(author)).checkpoint != DeliveryCheckpoint(
                    len(author.written)
                ):
                    await asyncio.sleep(0.005)

    async def open(self, connection_id: str) -> Author:
        return await Author.open(self.log, connection_id)

    async def status(self, author: Author) -> Status:
        return (await self.describe(author)).status

    async def reaches(self, author: Author, *statuses: Status) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.status(author) not in statuses:
                await asyncio.sleep(0.01)

    async def undelivered(self, relay_id: str = RELAY) -> set[str]:
        return await self.directory.undelivered(relay_id)

    async def all_delivered(self, relay_id: str = RELAY) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.undelivered(relay_id):
                await asyncio.sleep(0.01)

    def check(self, *authors: Author) -> None:
        """Each client has exactly its events: each response's in order, once."""
        for connection_id in {author.connection_id for author in authors}:
            posts = self.gateway.posts[connection_id]
            written = [
                author.written for author in authors if author.connection_id == connection_id
            ]
            assert len(posts) == sum(map(len, written))
            for events in written:
                assert [post for post in posts if post in set(events)] == events

    def interrupted(self, connection_id: str) -> list[bytes]:
        """Return what an interrupted and disconnected client had received."""
        *events, last = self.gateway.posts[connection_id]
        assert loads(last)["code"] == "stream_interrupted"
        assert connection_id in self.gateway.deleted
        return events


def new_log(valkey: Valkey) -> ValkeyEventLog:
    """Return a log with short times."""
    return ValkeyEventLog(
        valkey=valkey, deadlines=Deadlines(queue_s=60), retention_s=60, resume_window_s=60
    )


def _silent(log: ValkeyEventLog) -> ValkeyEventLog:
    """The same log, but what it publishes reaches nobody."""
    for script in (log._open, log._claim, log._append, log._resume):
        script._source, changes = re.subn(
            r"'PUBLISH', [^,]+,", "'PUBLISH', 'lost',", script._source
        )
        assert changes
        script._sha = hashlib.sha1(script._source.encode()).hexdigest()
    return log
