"""Cases of workers' beats and attempts, of deletion and of eviction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from axon.adapters.valkey import keys
from axon.adapters.valkey.api_keys import ValkeyOpenConnections, ValkeyWrongKeys
from axon.adapters.valkey.attempts import ValkeyAttemptNotes
from axon.adapters.valkey.beats import ValkeyWorkerBeats
from axon.adapters.valkey.caches import ValkeyPendingHistory, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.memory import EVICT_ABOVE, MemoryGuard
from axon.adapters.valkey.quarantine import ValkeyQuarantinePermits
from axon.adapters.valkey.traces import ValkeyResponseTraces
from axon.adapters.valkey.uploads import ValkeyUploadBudget
from axon.conversations import Turn
from axon.directory.beats import HeldChange, HeldMessage
from axon.event_log.attempts import AttemptNote
from axon.history import HistoryRecord
from axon.uploads import BUDGET_BYTES
from benchmarks.scripts.case import Case

_HANDLE_BYTES = 400
"""About the length of a receipt handle of SQS."""
_CONNECTIONS = 100
"""Connections of revoked keys that a relay takes at a time (`relay.revoker.PAGE`)."""
_MESSAGES = 1000
"""Most messages that a worker holds."""


@asynccontextmanager
async def _beats(valkey: Valkey, size: int) -> AsyncIterator[None]:
    """All workers are silent at once, and one of them has held many messages."""
    beats = ValkeyWorkerBeats(valkey=valkey, keep_s=60)
    messages = [HeldMessage(f"{n:0{_HANDLE_BYTES}}", f"{n:036}") for n in range(_MESSAGES)]
    for number in range(size):
        await beats.beat(f"w{number}", HeldChange(before=0, after=0), count=1)
    yield
    await beats.beat("w0", HeldChange(before=None, after=1, added=messages), count=2)
    removed = [each.receipt_handle for each in messages[:10]]
    await beats.beat("w0", HeldChange(before=1, after=2, removed=removed), count=3)
    await beats.values("w0")
    taken, seen, batch = 0, "3", list[HeldMessage]()
    while True:
        successor = f"taken {taken}"
        batch = list(await beats.take("w0", seen=seen, successor=successor, released=batch))
        if not batch:
            break
        taken, seen = taken + len(batch), successor
    assert taken == _MESSAGES - len(removed)


@asynccontextmanager
async def _attempts(valkey: Valkey, size: int) -> AsyncIterator[None]:
    notes, permits = ValkeyAttemptNotes(valkey=valkey), ValkeyQuarantinePermits(valkey=valkey)
    await valkey.call("HSET", keys.response("resp_0"), "epoch", 1)
    yield
    for number in range(size):
        for note in AttemptNote:
            await notes.note("resp_0", note, epoch=1, incarnation="w0")
        assert await permits.acquire("w0") or number
        assert not await permits.acquire("w1")
        await permits.release("w0", pause_s=1)


@asynccontextmanager
async def _deletion(valkey: Valkey, size: int) -> AsyncIterator[None]:
    response_id = "resp_0"
    await valkey.call("HSET", keys.turn(response_id), "turn", "x" * 100_000)
    await valkey.call("HSET", keys.response(response_id), "relay_id", "r1", "tenant_id", "t")
    for name in (keys.events(response_id), keys.journal(response_id)):
        for number in range(size):
            await valkey.call("XADD", name, f"{number + 1}-0", "e", "x" * 250)
    yield
    await ValkeyPendingHistory(valkey=valkey).add(
        HistoryRecord(
            response_id=response_id,
            previous_response_id=None,
            conversation_id="conv",
            tenant_id="t",
            version=1,
            created_ms=1,
            ended_ms=1,
            response={"status": "completed"},
            input=[],
        )
    )
    await ValkeyResponseTraces(valkey=valkey).erase(response_id)
    assert await valkey.call("EXISTS", keys.events(response_id)) == 0


@asynccontextmanager
async def _eviction(valkey: Valkey, size: int) -> AsyncIterator[None]:
    for number in range(size):
        fields = ("tenant_id", "t", "previous", "", "turn", "x" * 100_000)
        await valkey.call("HSET", keys.turn(f"resp_{number}"), *fields)
        await valkey.call("ZADD", keys.TURNS, number + 1, f"resp_{number}")
    used = int((await valkey.call("INFO", "memory"))["used_memory"])
    await valkey.call("CONFIG", "SET", "maxmemory", int(used / (EVICT_ABOVE + 0.05)))
    yield
    try:
        await MemoryGuard(valkey=valkey).step()
    finally:
        await valkey.call("CONFIG", "SET", "maxmemory", 0)
    assert await valkey.call("ZCARD", keys.TURNS) == 0


@asynccontextmanager
async def _keys(valkey: Valkey, size: int) -> AsyncIterator[None]:
    """Keys with many connections are revoked at once; an address tries many wrong ones."""
    connections, wrong_keys = ValkeyOpenConnections(valkey=valkey), ValkeyWrongKeys(valkey=valkey)
    for number in range(size):
        member = f"{number:016}"
        await valkey.call("ZADD", keys.key_connections(f"key_{number % 20}"), 1000, member)
    yield
    for number in range(20):
        await connections.note(f"key_{number}", "c1")
        await connections.revoke(f"key_{number}")
        await wrong_keys.count("192.0.2.1")
        await ValkeyUploadBudget(valkey=valkey).take("t", BUDGET_BYTES // 16)
    closed = 0
    while page := await connections.revoked("r1", limit=_CONNECTIONS):
        for each in page:
            await connections.remove(each.key_id, each.connection_id)
        closed += len(page)
    assert closed >= size - 20 * 8  # each `note` removes eight that have expired


@asynccontextmanager
async def _full_cache(valkey: Valkey, size: int) -> AsyncIterator[None]:
    """Fill a tenant's share with turns that were not used for minutes."""
    cache = ValkeyTurnCache(valkey=valkey, ttl_s=900)
    turns = [
        Turn(
            response_id=f"resp_{number}",
            previous_response_id=None,
            conversation_id="conv",
            tenant_id="t",
            input=[{"role": "user", "content": "x" * (100_000 if number == size else 1000)}],
            output=[],
        )
        for number in range(size + 1)
    ]
    await cache.put(turns[:-1])
    soon = await valkey.now_ms() + 60_000
    for number in range(size):
        await valkey.call("ZADD", keys.cached("t"), soon, f"turn:resp_{number}")
    await valkey.call("HSET", keys.MEMORY, "caches", 1, "cache_bytes", 150_000)
    yield
    await cache.put(turns[-1:])


UPKEEP_CASES = (
    Case(
        name="keys",
        scripts=("command", "note_connection", "revoked_connections", "take_tokens", "wrong_keys"),
        maximum=f"connections of revoked keys, {_CONNECTIONS} at a time",
        size=20_000,
        run=_keys,
    ),
    Case(
        name="beats",
        scripts=("beat", "watch_beats", "take_messages"),
        maximum=f"silent workers, one with {_MESSAGES} messages",
        size=1000,
        run=_beats,
    ),
    Case(
        name="attempts",
        scripts=("note_attempt", "quarantine"),
        maximum="attempts; each call has a fixed number of commands",
        size=10,
        run=_attempts,
    ),
    Case(
        name="deletion",
        scripts=("erase", "command"),
        maximum="events and as many journal records of a response",
        size=5000,
        run=_deletion,
    ),
    Case(
        name="eviction",
        scripts=("evict_turns",),
        maximum="turns of 100 KB, as many as one step evicts",
        size=1024,
        run=_eviction,
    ),
    Case(
        name="full cache",
        scripts=("put_turn",),
        maximum="turns of a tenant; a new one evicts 8 of them",
        size=20_000,
        run=_full_cache,
    ),
)
