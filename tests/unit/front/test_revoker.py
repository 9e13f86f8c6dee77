import asyncio
from dataclasses import replace
from unittest.mock import Mock

from aiohttp.test_utils import make_mocked_request

from axon.event_log.log import ResponseMeta, Status
from axon.exceptions import UnavailableError
from axon.tenants.api_keys import ApiKey
from axon.tenants.revocation import KeyCheck
from axon.testing.api_keys import FakeOpenConnections
from axon.testing.stores import FakeApiKeyStore
from front.revoker import ENDING_S, LOOK_S, Revoker
from tests.support import virtual_time
from tests.support.principals import a_principal
from tests.unit.axon.samples import TENANT, a_request
from tests.unit.front.front_harness import FrontHarness

LIMIT_S = 5.0
"""Seconds after a revocation within which everything has ended (ADR 23)."""


class RevokerHarness:
    """Requests of key_1 and key_2 of one tenant, each with a response that it reads."""

    def __init__(self) -> None:
        self.front = FrontHarness()
        self.connections = FakeOpenConnections()
        self.store = FakeApiKeyStore()
        self.disconnected: list[str] = []
        self.revoker = Revoker(
            requests=self.front.context.requests,
            keys=KeyCheck(connections=self.connections, store=self.store),
            reader=self.front.reader,
            log=self.front.responses.valkey,
            terminator=self.front.responses.terminator,
        )

    async def begin(self) -> None:
        await self.front.responses.begin()
        for key_id in ("key_1", "key_2"):
            key = ApiKey(key_id=key_id, tenant_id=TENANT, name=key_id, hint="")
            await self.store.add(key, key_hash=key_id)

    async def submit(self, key_id: str) -> str:
        response_id = await self.front.responses.service.submit(
            a_request(), principal=a_principal(TENANT, key_id=key_id)
        )
        assert response_id is not None
        return response_id

    async def read(self, response_id: str, *, key_id: str) -> None:
        """Answer a request of the key with the events of a response, until one of both ends."""
        transport, reading = Mock(), asyncio.current_task()
        assert reading is not None

        def abort() -> None:
            self.disconnected.append(response_id)
            reading.cancel()

        transport.abort = abort
        request = make_mocked_request("GET", "/", transport=transport)
        with self.front.context.requests.open(request) as opened:
            opened.key_id = key_id
            principal = a_principal(TENANT, key_id=key_id)
            async with self.front.reader.open(response_id, principal=principal) as events:
                async for _ in events:
                    pass

    async def step_until(self, task: "asyncio.Task[None]") -> float:
        """Look for revoked keys until the task has ended; return the seconds that it took."""
        began = virtual_time.now()
        while not task.done():
            await self.revoker.step()
            await asyncio.sleep(LOOK_S)
        return virtual_time.now() - began


def test_revoker_cancels_what_the_key_has_asked_for() -> None:
    async def scenario() -> None:
        harness = RevokerHarness()
        await harness.begin()
        own, others = await harness.submit("key_1"), await harness.submit("key_2")
        reading = asyncio.create_task(harness.read(own, key_id="key_1"))
        other = asyncio.create_task(harness.read(others, key_id="key_2"))
        await asyncio.sleep(0)
        await harness.revoker.step()
        await harness.connections.revoke("key_1")
        assert await harness.step_until(reading) <= LOOK_S
        await asyncio.sleep(ENDING_S)
        await harness.revoker.step()
        assert await harness.front.responses.status(own) is Status.CANCELLED
        assert await harness.front.responses.status(others) is Status.QUEUED
        assert (harness.disconnected, other.done()) == ([], False)
        other.cancel()

    virtual_time.run(scenario())


def test_revoker_disconnects_a_reader_of_what_another_key_has_asked_for() -> None:
    async def scenario() -> None:
        harness = RevokerHarness()
        await harness.begin()
        response_id = await harness.submit("key_2")
        reading = asyncio.create_task(harness.read(response_id, key_id="key_1"))
        await asyncio.sleep(0)
        await harness.connections.revoke("key_1")
        assert await harness.step_until(reading) <= LOOK_S + ENDING_S
        assert harness.disconnected == [response_id]
        assert await harness.front.responses.status(response_id) is Status.QUEUED

    virtual_time.run(scenario())


def test_revoker_finds_a_revocation_that_valkey_did_not_get() -> None:
    async def scenario() -> None:
        harness = RevokerHarness()
        await harness.begin()
        response_id = await harness.submit("key_1")
        reading = asyncio.create_task(harness.read(response_id, key_id="key_1"))
        await asyncio.sleep(0)
        await harness.revoker.step()  # the store was asked just before
        await harness.store.revoke("key_1")
        assert await harness.step_until(reading) <= LIMIT_S

    virtual_time.run(scenario())


def test_revoker_disconnects_also_while_responses_cannot_be_cancelled() -> None:
    async def scenario() -> None:
        harness = RevokerHarness()
        await harness.begin()
        response_id = await harness.submit("key_1")
        reading = asyncio.create_task(harness.read(response_id, key_id="key_1"))
        await asyncio.sleep(0)
        await harness.connections.revoke("key_1")
        away = Mock(side_effect=UnavailableError("Valkey is away"))
        harness.revoker.terminator.end = away  # type: ignore[method-assign]
        assert await harness.step_until(reading) <= LOOK_S + ENDING_S
        assert harness.disconnected == [response_id]

    virtual_time.run(scenario())


def test_revoker_cancels_each_response_whatever_another_one_does() -> None:
    async def scenario() -> None:
        harness = RevokerHarness()
        await harness.begin()
        away, slow, other = [await harness.submit("key_1") for _ in range(3)]
        others = await harness.submit("key_2")
        described: list[str] = []

        async def describe(response_id: str) -> ResponseMeta | None:
            described.append(response_id)
            if response_id == away:
                raise UnavailableError("Valkey is away")
            await asyncio.sleep(LIMIT_S if response_id == slow else 0)
            return await harness.front.responses.valkey.describe(response_id)

        harness.revoker = replace(harness.revoker, log=Mock(describe=describe))
        reading = [
            asyncio.create_task(harness.read(response_id, key_id=key_id))
            for response_id, key_id in (
                (away, "key_1"),
                (slow, "key_1"),
                (other, "key_1"),
                (others, "key_2"),
            )
        ]
        await asyncio.sleep(0)
        await harness.connections.revoke("key_1")
        assert await harness.step_until(reading[2]) <= LOOK_S
        assert await harness.front.responses.status(other) is Status.CANCELLED
        for task in reading[:2]:
            assert await harness.step_until(task) <= ENDING_S
        assert sorted(described) == sorted([away, slow, other])
        assert not reading[3].done()
        reading[3].cancel()
        await harness.revoker.cancel()

    virtual_time.run(scenario())
