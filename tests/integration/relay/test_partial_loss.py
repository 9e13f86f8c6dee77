"""The primary of two real servers dies while its replica lags: a client's stream stays exact."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey.client import Valkey
from axon.clock import now_ms
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import UnavailableError
from axon.protocol.transcript import Transcript
from axon.retry import RetryPolicy
from tests.conftest import Servers
from tests.integration.relay.relay_harness import CONNECTIONS, RELAY, RelayHarness, new_log
from tests.support.clients import valkey_client
from tests.support.eventually import eventually
from tests.support.valkey_pair import ValkeyServers, valkey_servers
from tests.unit.axon.adapters.aws.gateway_stub import StrictGateway
from tests.unit.relay.log_author_stub import Author
from worker.event_writer import EventWriter

FIRST, SECOND = CONNECTIONS[:2]


@pytest.fixture
async def pair(servers: Servers) -> AsyncIterator[ValkeyServers]:
    async with valkey_servers(servers) as pair:
        yield pair


@pytest.fixture
async def harness(pair: ValkeyServers, history_queue_url: str) -> AsyncIterator[RelayHarness]:
    url = pair.address.url
    async with valkey_client(url) as valkey, StrictGateway().serve() as gateway:
        harness = RelayHarness(
            valkey=valkey, valkey_url=url, gateway=gateway, history_url=history_queue_url
        )
        await harness.begin()
        yield harness
        await harness.end()
    assert not gateway.faults


class Worker:
    """An attempt's writer, with a connection of its own; `written` is what it has appended."""

    def __init__(self, author: Author, valkey: Valkey) -> None:
        self.writer = EventWriter(
            job=author._job,
            message_id="message-1",
            log=new_log(valkey),
            forgotten_s=60,
            retry=RetryPolicy(errors=(UnavailableError,), longest_pause_s=0.2),
            clock_ms=now_ms,
        )
        self.transcript: Transcript
        self.written: list[LoggedEvent] = []

    async def begin(self) -> None:
        self.transcript = await self.writer.claim(untouched=True)
        self.written = [*self.writer.events]

    async def say(self, words: int) -> None:
        for number in range(words):
            events = self.transcript.delta(f"{number} ", [number])
            await self.writer.append(events)
            self.written += events

    async def complete(self) -> None:
        events = [*self.transcript.close_message(), self.transcript.end(Status.COMPLETED)]
        await self.writer.append(events, status=Status.COMPLETED)
        self.written += events

    @property
    def lines(self) -> list[bytes]:
        return [event.data for event in self.written]


async def until_posted(harness: RelayHarness, worker: Worker, *, on: str = FIRST) -> None:
    await eventually(lambda: len(harness.gateway.posts[on]) >= len(worker.written))


@pytest.mark.parametrize("claim_is_lost", [False, True])
async def test_client_gets_each_event_once_when_the_newest_appends_are_lost(
    harness: RelayHarness,
    pair: ValkeyServers,
    claim_is_lost: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with harness.relay(), valkey_client(pair.address.url) as valkey:
        author = await harness.open(FIRST)
        worker = Worker(author, valkey)
        if not claim_is_lost:
            await worker.begin()
            await worker.say(3)
        await asyncio.to_thread(pair.stall)
        if claim_is_lost:
            await worker.begin()
        await worker.say(5)
        await until_posted(harness, worker)
        await asyncio.to_thread(pair.fail_over)
        await worker.say(5)
        await worker.complete()
        await until_posted(harness, worker)
        await harness.all_delivered()
        assert "appended again" in caplog.text  # the failover has lost some
        assert harness.gateway.posts[FIRST] == worker.lines
        assert await harness.log.read(author.response_id) == worker.written
    assert not harness.gateway.deleted


async def test_client_resumes_exactly_when_its_relay_dies_with_the_primary(
    harness: RelayHarness, pair: ValkeyServers, caplog: pytest.LogCaptureFixture
) -> None:
    doomed = await harness.spawn(relay_id="relay-doomed", relay_lease_s="1")
    await harness.registered("relay-doomed")
    async with valkey_client(pair.address.url) as valkey:
        author = await harness.open(FIRST)
        worker = Worker(author, valkey)
        await worker.begin()
        await worker.say(3)
        await until_posted(harness, worker)
        await asyncio.to_thread(pair.stall)
        await worker.say(5)
        await until_posted(harness, worker)
        doomed.kill()
        await doomed.wait()
        await asyncio.to_thread(pair.fail_over)
        async with harness.relay():
            await eventually(lambda: FIRST in harness.gateway.deleted)
            got = harness.interrupted(FIRST)
            await author.resume(SECOND, first=len(got))
            await worker.say(5)
            await worker.complete()
            await harness.all_delivered(RELAY)
        assert "appended again" in caplog.text
        assert got + harness.gateway.posts[SECOND] == worker.lines
