import asyncio

import pytest

from axon.event_log.log import Status
from axon.management_api import PostThrottledError, PostUncertainError
from axon.serialization import loads
from axon.tenants.revocation import CLOSE_AFTER_S, KeyState
from axon.testing.api_keys import FakeOpenConnections
from relay.revoker import CANCELLING_S, PAGE, Revoker
from tests.support import virtual_time
from tests.unit.relay.log_author_stub import Author
from tests.unit.relay.relay_harness import RELAY, RelayHarness

KEY = "key_1"
"""The key of the responses that `Author` opens."""


class RevokerHarness:
    """A revoker over fakes, with the connections c1 and c2 of the key."""

    def __init__(self) -> None:
        self.relay = RelayHarness()
        self.open = FakeOpenConnections()
        self.revoker = Revoker(
            relay_id=RELAY,
            connections=self.relay.connections,
            open_connections=self.open,
            log=self.relay.valkey,
            terminator=self.relay.terminator,
        )

    async def begin(self) -> None:
        await self.relay.begin("c1", "c2", "other")
        for connection_id in ("c1", "c2"):
            await self.open.note(KEY, connection_id)
        await self.open.note("key_2", "other")

    async def step(self) -> None:
        """Take a step, and wait for what it has begun."""
        await self.revoker.step()
        await self.revoker.drain()

    async def status(self, author: Author) -> Status:
        return (await self.relay.describe(author)).status

    def notices(self, connection_id: str) -> list[tuple[str, str]]:
        events = map(loads, self.relay.connections.posts[connection_id])
        return [(event["type"], event.get("code", "")) for event in events]


async def begun() -> RevokerHarness:
    harness = RevokerHarness()
    await harness.begin()
    return harness


def test_revoker_notifies_clients_cancels_their_responses_and_closes_their_connections() -> None:
    async def scenario() -> None:
        harness = await begun()
        author, other = await harness.relay.open("c1"), await harness.relay.open("other")
        await harness.step()
        assert harness.notices("c1") == []
        await harness.open.revoke(KEY)
        await harness.step()
        for connection_id in ("c1", "c2"):
            assert harness.notices(connection_id) == [("error", "invalid_api_key")]
        assert await harness.status(author) is Status.CANCELLED
        assert harness.relay.connections.deleted == []
        virtual_time.pause_process(CLOSE_AFTER_S)
        await harness.step()
        assert sorted(harness.relay.connections.deleted) == ["c1", "c2"]
        assert harness.open.connections_of(KEY) == set()
        assert harness.notices("other") == []
        assert await harness.status(other) is Status.QUEUED
        await harness.step()
        assert len(harness.notices("c1")) == 1

    virtual_time.run(scenario())


def test_revoker_cancels_what_a_client_that_is_gone_has_left() -> None:
    async def scenario() -> None:
        harness = await begun()
        author = await harness.relay.open("c1")
        harness.relay.connections.hang_up("c1")
        await harness.open.revoke(KEY)
        await harness.step()
        assert await harness.status(author) is Status.CANCELLED
        assert harness.open.connections_of(KEY) == {"c2"}

    virtual_time.run(scenario())


def test_revoker_leaves_a_response_of_another_key_to_be_resumed() -> None:
    async def scenario() -> None:
        harness = await begun()
        author = await harness.relay.open("other")
        harness.relay.connections.hang_up("other")
        await harness.open.revoke("key_2")
        await harness.step()
        assert await harness.status(author) is Status.QUEUED
        assert harness.open.connections_of("key_2") == set()

    virtual_time.run(scenario())


@pytest.mark.parametrize("error", [PostThrottledError("429"), PostUncertainError("timeout")])
def test_revoker_closes_a_connection_that_cannot_be_notified(error: Exception) -> None:
    async def scenario() -> None:
        harness = await begun()
        harness.relay.connections.fail("c1", *[error] * 200)
        await harness.open.revoke(KEY)
        await harness.step()
        virtual_time.pause_process(CLOSE_AFTER_S)
        for _ in range(50):
            await harness.step()
        assert sorted(harness.relay.connections.deleted) == ["c1", "c2"]

    virtual_time.run(scenario())


def test_revoker_ends_within_five_seconds_of_the_revocation() -> None:
    """Steps come four times a second; a client that reads nothing delays its own close only."""

    async def scenario() -> None:
        harness = await begun()
        harness.relay.connections.hold()
        await harness.open.revoke(KEY)
        revoked_at = virtual_time.now()
        while harness.open.connections_of(KEY):
            await harness.revoker.step()
            virtual_time.pause_process(0.25)
        assert virtual_time.now() - revoked_at <= 5

    virtual_time.run(scenario())


def test_revoker_closes_the_connections_of_many_keys_within_five_seconds() -> None:
    """Keys that are revoked at once have more connections than one page."""

    async def scenario() -> None:
        harness = await begun()
        names = [f"many-{number}" for number in range(4 * PAGE)]
        for number, name in enumerate(names):
            await harness.open.note(f"key_{number % 100}", name)
        for number in range(100):
            await harness.open.revoke(f"key_{number}")
        revoked_at = virtual_time.now()
        while not set(names) <= set(harness.relay.connections.deleted):
            await harness.revoker.step()
            await asyncio.sleep(0.25)
        assert virtual_time.now() - revoked_at <= 5
        await harness.revoker.cancel()

    virtual_time.run(scenario())


def test_revoker_closes_connections_in_time_while_cancels_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their responses, and a client that reads nothing, delay no close."""

    async def scenario() -> None:
        harness = await begun()
        for connection_id in ("c1", "c2", "other"):
            await harness.relay.open(connection_id)
        ended: list[str] = []

        async def hang(response_id: str, *_: object, **__: object) -> None:
            await asyncio.sleep(60)
            ended.append(response_id)

        monkeypatch.setattr(harness.relay.terminator, "end", hang)
        await harness.open.revoke(KEY)
        revoked_at = virtual_time.now()
        while harness.open.connections_of(KEY):
            await harness.revoker.step()
            await asyncio.sleep(0.25)
        assert virtual_time.now() - revoked_at <= 5
        assert len(harness.notices("c1")) == 1
        await harness.revoker.drain()
        assert virtual_time.now() - revoked_at <= CANCELLING_S + 0.5
        await harness.revoker.cancel()
        assert ended == []

    virtual_time.run(scenario())


def test_revoker_closes_a_connection_although_its_response_cannot_be_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        harness = await begun()
        broken, author = await harness.relay.open("c1"), await harness.relay.open("c1")
        end = harness.relay.terminator.end

        async def failing(response_id: str, *arguments: object, **options: object) -> None:
            if response_id == broken.response_id:
                raise ValueError("cannot be decoded")
            await end(response_id, *arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(harness.relay.terminator, "end", failing)
        await harness.open.revoke(KEY)
        await harness.step()
        assert await harness.status(author) is Status.CANCELLED
        virtual_time.pause_process(CLOSE_AFTER_S)
        await harness.step()
        assert "c1" in harness.relay.connections.deleted
        assert await harness.open.note(KEY, "c1") is KeyState.REVOKED

    virtual_time.run(scenario())
