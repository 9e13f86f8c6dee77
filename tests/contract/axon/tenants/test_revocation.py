"""Open connections of keys: the fake, Valkey, and Valkey with every script run twice."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from axon.adapters.valkey import api_keys as adapter
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory, ValkeyRelayDirectory
from axon.directory.connections import CONNECTION_LIFE_S
from axon.tenants import revocation
from axon.tenants.revocation import KeyState, OpenConnections, RevokedConnection
from axon.testing import api_keys as fakes
from axon.testing.api_keys import FakeOpenConnections
from tests.contract.conftest import Kind, RepeatingValkey
from tests.support.clients import valkey_client


def close_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the time from a revocation to the close of connections."""
    for module in (fakes, adapter):
        monkeypatch.setattr(module, "CLOSE_AFTER_S", seconds)


@pytest.fixture
async def connections(kind: Kind, request: pytest.FixtureRequest) -> AsyncIterator[OpenConnections]:
    if kind == "fake":
        yield FakeOpenConnections()
        return
    make = RepeatingValkey if kind == "repeated" else Valkey
    async with valkey_client(request.getfixturevalue("valkey_url"), make=make) as valkey:
        await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
        yield ValkeyOpenConnections(valkey=valkey)


async def look(
    connections: OpenConnections, relay_id: str = "r1", *, limit: int = 100
) -> Sequence[RevokedConnection]:
    return await connections.revoked(relay_id, limit=limit)


def ids(found: Sequence[RevokedConnection]) -> set[tuple[str, bool]]:
    return {(each.connection_id, each.closing) for each in found}


async def test_open_connections_know_the_state_of_a_key(connections: OpenConnections) -> None:
    assert await connections.state("key_1") is KeyState.UNKNOWN
    assert await connections.note("key_1", "c1") is KeyState.UNKNOWN
    await connections.note_valid("key_1")
    assert await connections.note("key_1", "c1") is KeyState.VALID
    assert await connections.state("key_1") is KeyState.VALID
    assert await connections.revoke("key_1")
    await connections.note_valid("key_1")
    assert await connections.note("key_1", "c1") is KeyState.REVOKED
    assert await connections.state("key_1") is KeyState.REVOKED
    assert await connections.note("key_2", "c2") is KeyState.UNKNOWN


async def test_open_connections_of_a_revoked_key_are_notified_then_closed(
    connections: OpenConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_after(60, monkeypatch)
    for connection_id in ("c1", "c2", "left"):
        await connections.note("key_1", connection_id)
    await connections.note("key_2", "c3")
    await connections.remove("key_1", "left")
    assert await look(connections) == []
    await connections.revoke("key_1")
    found = await look(connections)
    assert ids(found) == {("c1", False), ("c2", False)}
    assert ids(await look(connections)) == ids(found), "whoever fails to notify them tries again"
    for each in found:
        await connections.notified(each)
    assert await look(connections) == []
    # As when the time has come.
    for each in found:
        await connections.notified(replace(each, close_at_ms=each.close_at_ms - 60_000))
    assert ids(await look(connections)) == {("c1", True), ("c2", True)}
    for each in found:
        await connections.remove(each.key_id, each.connection_id)
    assert await look(connections) == []


async def test_open_connections_are_found_in_pages(connections: OpenConnections) -> None:
    for number in range(7):
        await connections.note(f"key_{number % 2}", f"c{number}")
    for number in range(2):
        await connections.revoke(f"key_{number}")
    seen = set[tuple[str, bool]]()
    while page := await look(connections, limit=3):
        assert len(page) <= 3
        seen |= ids(page)
        for each in page:
            await connections.remove(each.key_id, each.connection_id)
    assert seen == {(f"c{number}", False) for number in range(7)}


async def test_open_connections_of_a_key_are_one_relays_at_a_time(
    connections: OpenConnections,
) -> None:
    await connections.note("key_1", "c1")
    await connections.revoke("key_1")
    assert await look(connections, "r1")
    assert await look(connections, "r2") == []
    assert await look(connections, "r1")


async def test_open_connections_close_one_that_comes_after_the_others(
    connections: OpenConnections,
) -> None:
    """An authorizer may have looked the key up just before it was revoked."""
    await connections.revoke("key_1")
    assert await look(connections) == []
    assert await connections.note("key_1", "late") is KeyState.REVOKED
    assert ids(await look(connections)) == {("late", False)}


async def test_open_connections_do_not_keep_one_that_is_notified_after_it_has_left(
    connections: OpenConnections,
) -> None:
    await connections.note("key_1", "c1")
    await connections.revoke("key_1")
    (found,) = await look(connections)
    await connections.remove("key_1", "c1")
    await connections.notified(found)
    assert await look(connections) == []


async def test_open_connections_share_a_page_among_keys(connections: OpenConnections) -> None:
    """A key with many connections does not keep those of another one from being closed."""
    for number in range(20):
        await connections.note("key_1", f"c{number}")
    await connections.note("key_2", "other")
    await connections.revoke("key_1")
    await connections.revoke("key_2")
    found = await look(connections, limit=10)
    assert [each.key_id for each in found] == [*["key_1"] * 5, "key_2"]


MANY = 100
"""Keys that are revoked at the same time: more than one script looks at."""


async def revoke_many(connections: OpenConnections, *, each: int = 1) -> None:
    """Revoke many keys; each has this number of connections."""
    for number in range(MANY):
        for connection in range(each):
            await connections.note(f"key_{number}", f"c{number}-{connection}")
        await connections.revoke(f"key_{number}")


async def test_open_connections_of_many_revoked_keys_are_closed_in_time(
    connections: OpenConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys whose clients are notified, and wait for the close, hide no other key."""
    close_after(60, monkeypatch)
    await revoke_many(connections)
    found = await look(connections)
    assert ids(found) == {(f"c{number}-0", False) for number in range(MANY)}
    for each in found[: MANY // 2]:
        await connections.notified(each)
    assert ids(await look(connections)) == ids(found[MANY // 2 :])
    for each in found:
        await connections.notified(replace(each, close_at_ms=each.close_at_ms - 60_000))
    assert ids(await look(connections)) == {(f"c{number}-0", True) for number in range(MANY)}
    for each in found:
        await connections.remove(each.key_id, each.connection_id)
    assert await look(connections) == []


async def test_open_connections_of_another_relays_keys_hide_none(
    connections: OpenConnections,
) -> None:
    await revoke_many(connections)
    assert len(await look(connections, "r1")) == MANY
    await connections.note("key_last", "last")
    await connections.revoke("key_last")
    assert ids(await look(connections, "r2")) == {("last", False)}


async def test_open_connections_take_turns_where_more_are_due_than_one_look_returns(
    connections: OpenConnections,
) -> None:
    """A page that the first keys fill again and again does not starve the others."""
    seen = set[str]()
    await revoke_many(connections, each=4)
    for _ in range(6):  # nobody is notified meanwhile: all clients are slow
        page = await look(connections, limit=70)
        assert len(page) <= 70
        seen |= {each.key_id for each in page}
    assert len(seen) == MANY


async def test_open_connections_say_that_no_relay_runs(valkey: Valkey) -> None:
    assert not await ValkeyOpenConnections(valkey=valkey).revoke("key_1")


async def test_open_connections_forget_what_can_be_open_no_more(valkey: Valkey) -> None:
    connections = ValkeyOpenConnections(valkey=valkey)
    key = "axon:key:key_1:connections"
    for number in range(20):
        await valkey.call("ZADD", key, 1000 + number, f"old-{number}")
    for number in range(3):
        await connections.note("key_1", f"c{number}")
    assert await valkey.call("ZRANGEBYSCORE", key, "-inf", 10_000) == []
    await connections.revoke("key_1")
    for each in (key, "axon:key:key_1", "axon:keys:revoked"):
        assert 0 < await valkey.call("TTL", each) <= CONNECTION_LIFE_S
    await connections.note_valid("key_2")
    assert 0 < await valkey.call("TTL", "axon:key:key_2") <= revocation.VALID_S


async def test_open_connections_do_not_note_a_connection_that_is_gone(valkey: Valkey) -> None:
    """A message may still be handled when its connection is closed."""
    await ValkeyConnectionDirectory(valkey=valkey).remove("c1")
    await ValkeyOpenConnections(valkey=valkey).note("key_1", "c1")
    assert await valkey.call("EXISTS", "axon:key:key_1:connections") == 0


async def test_open_connections_get_another_relay_when_theirs_looks_no_more(
    valkey: Valkey,
) -> None:
    connections = ValkeyOpenConnections(valkey=valkey)
    await connections.note("key_1", "c1")
    await connections.revoke("key_1")
    assert await look(connections, "r1")
    await valkey.call("DEL", "axon:key:key_1:closer")  # as its expiry does
    assert await look(connections, "r2")
    await look(connections, "r2")
    assert await look(connections, "r1") == []
