"""Valkey without memory: what keeps Axon up and frees memory still works; the rest is refused."""

import asyncio
from dataclasses import replace

import pytest

from axon.adapters.valkey.api_keys import ValkeyOpenConnections, ValkeyWrongKeys
from axon.adapters.valkey.attempts import ValkeyAttemptNotes
from axon.adapters.valkey.beats import ValkeyWorkerBeats
from axon.adapters.valkey.caches import (
    ValkeyPendingHistory,
    ValkeyPrincipalCache,
    ValkeyTurnCache,
)
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.memory import MemoryGuard
from axon.adapters.valkey.quarantine import ValkeyQuarantinePermits
from axon.adapters.valkey.traces import ValkeyResponseTraces
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.deadlines import Deadlines
from axon.directory.beats import HeldChange, HeldMessage
from axon.directory.workers import WorkerState
from axon.event_log.attempts import AttemptNote
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import LoggedEvent, Status
from axon.exceptions import StoreFullError, WrongKeysError
from axon.history import HistoryRecord
from axon.tenants.revocation import KeyState
from axon.tenants.wrong_keys import BURST
from axon.testing.stores import FakeApiKeyStore
from tests.integration.axon.adapters.valkey.memory_samples import (
    NEW,
    event_log,
    limit,
    turn,
)
from tests.support.api_keys import api_keys
from tests.support.principals import a_principal


async def exhaust(valkey: Valkey) -> None:
    """Leave no memory: Valkey refuses whatever could need some."""
    await valkey.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreFullError):
        await valkey.call("SET", "axon:more", "x")


def record(response_id: str) -> HistoryRecord:
    return HistoryRecord(
        response_id=response_id,
        previous_response_id=None,
        conversation_id="conv",
        tenant_id="t",
        version=1,
        created_ms=1,
        ended_ms=1,
        response={"status": "cancelled"},
        input=[],
    )


async def test_processes_stay_registered_without_memory(small: Valkey) -> None:
    """Else relays lose their leases and workers are unhealthy: they restart, and never start."""
    await exhaust(small)
    relays, workers = ValkeyRelayDirectory(valkey=small), ValkeyWorkerDirectory(valkey=small)
    models, beats = ValkeyModelDirectory(valkey=small), ValkeyWorkerBeats(valkey=small, keep_s=60)
    await relays.heartbeat("r2", lease_s=60)
    await relays.end_lease("r1")
    assert await relays.expired() == ["r1"]
    await models.register(("another",), retention_s=60)
    assert await models.list() == ["another", "echo"]
    await workers.register(WorkerState(worker_id="w", slots=1, load=0, models=()))
    await workers.note_load("w", 1)
    assert [worker.load for worker in await workers.list()] == [1]
    held = HeldChange(before=None, after=1, added=[HeldMessage("handle", "message")])
    assert await beats.beat("w:1", held, count=1)
    seen = (await beats.values("w:1"))["w:1"]
    assert await beats.take("w:1", seen=seen, successor="taken") == held.added
    assert await ValkeyQuarantinePermits(valkey=small).acquire("w:1")


async def test_accepted_response_ends_without_memory(small: Valkey) -> None:
    """With its end its job is freed, so the end must not wait for memory."""
    log, cache = event_log(small), ValkeyTurnCache(valkey=small, ttl_s=900)
    await log.open(NEW)
    claim = await log.claim("resp_1", in_progress=b"{}")
    await exhaust(small)
    with pytest.raises(StoreFullError):
        await log.append("resp_1", epoch=claim.epoch, events=[LoggedEvent(2, b"{}")])
    meta = await log.describe("resp_1")
    assert meta is not None
    await log.checkpoint(
        "resp_1", DeliveryCheckpoint(1), relay_id=meta.relay_id, connection_id="c1"
    )
    notes = ValkeyAttemptNotes(valkey=small)
    await notes.note("resp_1", AttemptNote.RELEASED, epoch=claim.epoch, incarnation="w:1")
    # A terminator claims it, writes its history and its turn, then its last event.
    claim = await log.claim("resp_1")
    await ValkeyPendingHistory(valkey=small).add(record("resp_1"))
    await cache.put([turn(1, connection_id="c1")])
    final = [LoggedEvent(claim.next_sequence, b"{}")]
    await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.CANCELLED)
    assert await small.call("HEXISTS", "axon:response:resp_1", "job") == 0
    assert await cache.chain("resp_1") == [turn(1, connection_id="c1")]


async def test_stored_turn_is_left_to_the_database_without_memory(small: Valkey) -> None:
    cache = ValkeyTurnCache(valkey=small, ttl_s=900)
    await cache.put([turn(1)])
    await exhaust(small)
    await cache.put([turn(2)])
    assert await cache.chain("resp_2") == []
    assert await cache.chain("resp_1") == [turn(1)], "reading does not need memory"


async def test_key_is_revoked_and_others_are_served_without_memory(small: Valkey) -> None:
    connections = ValkeyOpenConnections(valkey=small)
    await exhaust(small)
    assert await connections.note("key", "c1") is KeyState.UNKNOWN
    await connections.note_valid("key")
    assert await connections.note("key", "c1") is KeyState.VALID
    await connections.revoke("key")
    assert await connections.note("key", "c2") is KeyState.REVOKED
    (first, _) = await connections.revoked("r1", limit=2)
    await connections.notified(first)


async def test_unknown_keys_are_looked_up_a_bounded_number_of_times_without_memory(
    small: Valkey,
) -> None:
    keys = api_keys(
        store=FakeApiKeyStore(),
        cache=ValkeyPrincipalCache(valkey=small),
        wrong_keys=ValkeyWrongKeys(valkey=small),
    )
    _, secret = await keys.create(tenant_id="t", name="n")
    await exhaust(small)
    for _ in range(2):
        for number in range(BURST):
            assert await keys.authenticate(f"sk-axon-{number}", address="192.0.2.1") is None
    with pytest.raises(WrongKeysError):
        await keys.authenticate("sk-axon-more", address="192.0.2.1")
    assert await keys.authenticate(secret, address="192.0.2.1") is not None


async def test_new_work_is_refused_without_memory(small: Valkey) -> None:
    await exhaust(small)
    with pytest.raises(StoreFullError):
        await event_log(small).open(NEW)
    with pytest.raises(StoreFullError):
        await ValkeyConnectionDirectory(valkey=small).register("c2", principal=a_principal())
    with pytest.raises(StoreFullError):
        await ValkeyPrincipalCache(valkey=small, ttl_s=60).put("hash", a_principal())


async def test_memory_is_freed_without_memory(small: Valkey) -> None:
    """Sweeps, evictions, disconnections and deletions must work, or memory never comes back."""
    log, cache = event_log(small), ValkeyTurnCache(valkey=small, ttl_s=900)
    for number in (1, 2):
        await log.open(replace(NEW, response_id=f"resp_{number}"))
    await cache.put([turn(number) for number in (3, 4)])
    await cache.put([turn(5, connection_id="c1")])
    for number in (3, 4):
        await small.call("ZADD", "axon:turns", number, f"resp_{number}")
    # The first turn that is looked at stays: its record is on its way.
    await small.call("SET", "axon:history:pending:resp_3", "t", "EX", 60)
    await exhaust(small)
    due = ValkeyDueIndex(
        valkey=small, deadlines=Deadlines(), retention_s=300, away_s=60, grace_s=60
    )
    assert not (await due.take_overdue(limit=10)).more
    await log.abandon("c1")
    await ValkeyConnectionDirectory(valkey=small).remove("c1")
    await ValkeyResponseTraces(valkey=small).erase("resp_2")
    evicted = list[int]()
    await MemoryGuard(valkey=small, evicted=evicted.append).step()
    assert sum(evicted) == 1
    assert await small.call("HGET", "axon:memory", "full") == b"1"
    for number, kept in ((3, 1), (4, 0), (5, 0)):
        assert await small.call("HEXISTS", f"axon:turn:resp_{number}", "turn") == kept
    assert await small.call("ZCARD", "axon:abandoned") == 2


async def test_requests_are_accepted_again_when_memory_comes_back(small: Valkey) -> None:
    guard = MemoryGuard(valkey=small)
    await exhaust(small)
    await guard.step()
    await limit(small, 0.5)
    await guard.step()
    assert (await event_log(small).open(NEW)).outcome.value == "opened"
    connections = ValkeyConnectionDirectory(valkey=small)
    await asyncio.gather(*(connections.register(f"n{n}", principal=a_principal()) for n in (1, 2)))
