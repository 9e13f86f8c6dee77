import asyncio

import pytest

from axon.exceptions import RequestError, UnavailableError
from axon.protocol.errors import error_event
from axon.tenants.lookups import ANSWER_S
from axon.tenants.revocation import VALID_S, KeyCheck
from axon.testing.api_keys import FakeOpenConnections
from tests.support import virtual_time
from tests.support.principals import a_principal

PRINCIPAL = a_principal("t", key_id="key_1")


class StubStore:
    """Says that every key is valid, or none, or nothing."""

    def __init__(self) -> None:
        self.valid = True
        self.fails: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def is_valid(self, _: str) -> bool:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.fails:
            raise self.fails
        return self.valid


def key_check() -> tuple[KeyCheck, FakeOpenConnections, StubStore]:
    connections, store = FakeOpenConnections(), StubStore()
    return KeyCheck(connections=connections, store=store), connections, store


async def refused(check: KeyCheck, *, connection_id: str = "c1") -> bool:
    try:
        await check.require_valid(PRINCIPAL, connection_id=connection_id)
    except RequestError as error:
        event = error_event(error)
        assert (event["status"], event["code"]) == (401, "invalid_api_key")
        return True
    return False


def test_key_check_refuses_a_revoked_key_at_once() -> None:
    async def scenario() -> None:
        check, connections, store = key_check()
        assert not await refused(check)
        await connections.revoke("key_1")
        assert await refused(check)
        assert store.asked == 1

    virtual_time.run(scenario())


def test_key_check_looks_a_key_up_once_in_some_seconds() -> None:
    async def scenario() -> None:
        check, _, store = key_check()
        for _ in range(3):
            for _ in range(10):
                assert not await refused(check)
            virtual_time.pause_process(VALID_S)
        assert store.asked == 3

    virtual_time.run(scenario())


@pytest.mark.parametrize("told", [True, False])
def test_key_check_finds_a_revocation_that_valkey_has_lost_or_never_had(told: bool) -> None:
    """Also those of connections from which nothing comes: they are closed with the others."""

    async def scenario() -> None:
        check, connections, store = key_check()
        assert not await refused(check)
        await connections.note("key_1", "silent")
        if told:
            await connections.revoke("key_1")
            connections.lose()
        store.valid = False
        virtual_time.pause_process(VALID_S)
        assert await refused(check)
        closed = {each.connection_id for each in await connections.revoked("relay", limit=10)}
        assert closed == {"c1", "silent"}

    virtual_time.run(scenario())


@pytest.mark.parametrize("hangs", [True, False])
def test_key_check_lets_requests_go_on_while_the_store_is_away(hangs: bool) -> None:
    async def scenario() -> None:
        check, _, store = key_check()
        store.hangs, store.fails = hangs, UnavailableError("PostgreSQL: away")
        begun = virtual_time.now()
        for number in range(10):
            principal = a_principal("t", key_id=f"key_{number}")
            await check.require_valid(principal, connection_id=f"c{number}")
        assert virtual_time.now() - begun <= ANSWER_S
        assert store.asked == 1
        store.hangs, store.fails, store.valid = False, None, False
        virtual_time.pause_process(VALID_S)
        assert await refused(check)

    virtual_time.run(scenario())


def test_key_check_fails_while_valkey_is_away() -> None:
    async def scenario() -> None:
        check, connections, _ = key_check()

        async def away(*_: object) -> None:
            raise UnavailableError("Valkey: away")

        connections.note = away  # type: ignore[method-assign, assignment]
        with pytest.raises(UnavailableError):
            await check.require_valid(PRINCIPAL, connection_id="c1")

    virtual_time.run(scenario())


def test_key_check_knows_nothing_of_a_connection_without_a_key() -> None:
    async def scenario() -> None:
        check, connections, store = key_check()
        await check.require_valid(a_principal("t", key_id=""), connection_id="c1")
        assert (store.asked, connections.connections_of("")) == (0, set())

    virtual_time.run(scenario())
