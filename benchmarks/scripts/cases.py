"""Cases: each brings some scripts, and the reads that replace scripts, to their maximum.

The maxima are those of ADR 12. `size` is the number that grows; the tests take a smaller one where
the cost of a call must not depend on it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from axon.adapters.valkey import keys
from axon.adapters.valkey.attendance import AT_ONCE, KEPT_AT_ONCE, ValkeyAttendance
from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.conversations import Turn
from axon.deadlines import Deadlines
from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse
from axon.jobs import ReceivedJob
from axon.responses.sweeper import BATCH
from axon.tenants.principal import ALL_SCOPES, Principal
from benchmarks.scripts.case import EVENT, Case
from benchmarks.scripts.upkeep_cases import UPKEEP_CASES

PRINCIPAL = Principal(tenant_id="t", key_id="k", scopes=ALL_SCOPES)
ENDED = ("status", "completed", "tenant_id", "t")
FLUSH = b'{"type":"response.output_text.delta","delta":"%s"}' % (b"x" * 200)
NEW = NewResponse(
    response_id="resp_0",
    tenant_id="t",
    connection_id="c0",
    model="echo",
    job=EVENT,
    created=EVENT,
)


def event_log(valkey: Valkey) -> ValkeyEventLog:
    """Return an event log with the usual limits."""
    return ValkeyEventLog(valkey=valkey, deadlines=Deadlines(), retention_s=300, resume_window_s=60)


async def _each(valkey: Valkey, size: int, *commands: Callable[[int], Sequence[object]]) -> None:
    """Run commands for each number, many at a time."""
    for first in range(0, size, 500):
        numbers = range(first, min(size, first + 500))
        calls = (valkey.call(*make(number)) for number in numbers for make in commands)
        await asyncio.gather(*calls)


async def prepare_log(valkey: Valkey) -> ValkeyEventLog:
    """Return an event log with a model, a relay and a connection."""
    await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
    await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
    await ValkeyConnectionDirectory(valkey=valkey).register("c0", principal=PRINCIPAL)
    return event_log(valkey)


@asynccontextmanager
async def _life(valkey: Valkey, size: int) -> AsyncIterator[None]:
    """One response through all its steps, with the largest events."""
    relays = ValkeyRelayDirectory(valkey=valkey)
    for number in range(size):
        await relays.heartbeat(f"relay-{number}", lease_s=600)
    log = await prepare_log(valkey)
    yield
    await ValkeyConnectionDirectory(valkey=valkey).register("c1", principal=PRINCIPAL)
    await log.open(replace(NEW, idempotency="key", fingerprint="request"))
    claim = await log.claim("resp_0", in_progress=EVENT)
    meta = await log.describe("resp_0")
    assert meta is not None
    await log.checkpoint(
        "resp_0", DeliveryCheckpoint(2), relay_id=meta.relay_id, connection_id="c0"
    )
    events = [LoggedEvent(2 + number, EVENT, tuple(range(1000))) for number in range(4)]
    await log.append("resp_0", epoch=claim.epoch, events=events)
    await log.resume("resp_0", tenant_id="t", connection_id="c1", first=0)
    await log.repeated("key", fingerprint="request", connection_id="c0", lane="*")
    await log.append(
        "resp_0", epoch=claim.epoch, events=[LoggedEvent(6, EVENT)], status=Status.COMPLETED
    )
    await relays.delivered(meta.relay_id, "resp_0")
    await relays.heartbeat(meta.relay_id, lease_s=600)


@asynccontextmanager
async def _take_over(valkey: Valkey, size: int) -> AsyncIterator[None]:
    def response(number: int) -> tuple[str, str]:
        return "HSET", keys.response(f"resp_{number}")

    left = keys.relay_responses("dead")
    await _each(
        valkey,
        size,
        lambda n: ("HSET", keys.connection(f"c{n}"), "relay_id", "dead", "tenant_id", "t"),
        lambda n: (
            "HSET",
            keys.response(f"resp_{n}"),
            "relay_id",
            "dead",
            "connection_id",
            f"c{n}",
        ),
        lambda n: ("SADD", left, f"resp_{n}"),
    )
    relays = ValkeyRelayDirectory(valkey=valkey)
    await relays.end_lease("dead")
    await relays.heartbeat("r1", lease_s=600)
    yield
    taken = 0
    while batch := await relays.take_over("dead", successor_id="r1"):
        taken += len(batch)
    assert taken == size
    assert len(await relays.undelivered("r1")) == size


@asynccontextmanager
async def _abandon(valkey: Valkey, size: int) -> AsyncIterator[None]:
    running = keys.connection_responses("c0")
    for number in range(size):
        await valkey.call("HSET", keys.response(f"resp_{number}"), "connection_id", "c0")
        await valkey.call("SADD", running, f"resp_{number}")
    log = event_log(valkey)
    yield
    await log.abandon("c0")
    assert await valkey.call("ZCARD", keys.ABANDONED) == size


@asynccontextmanager
async def _attend(valkey: Valkey, size: int) -> AsyncIterator[None]:
    """Extend followed responses, of which each call takes a part."""
    await _each(
        valkey,
        size,
        lambda n: ("HSET", keys.response(f"resp_{n}"), "connection_id", "", *ENDED),
        lambda n: ("ZADD", keys.ABANDONED, 1, f"resp_{n}"),
    )
    yield
    attendance = ValkeyAttendance(
        valkey=valkey, resume_window_s=60, retention_s=300, deadlines=Deadlines()
    )
    ids = [f"resp_{number}" for number in range(size)]
    await attendance.extend(ids)
    await attendance.leave(ids[0])
    await attendance.keep_ended(ids)
    now = await valkey.now_ms()
    assert await valkey.call("ZRANGEBYSCORE", keys.ABANDONED, "-inf", now) == []


@asynccontextmanager
async def _conversation(valkey: Valkey, size: int) -> AsyncIterator[None]:
    cache = ValkeyTurnCache(valkey=valkey, ttl_s=900)
    turns = [
        Turn(
            response_id=f"resp_{number}",
            previous_response_id=f"resp_{number - 1}" if number else None,
            conversation_id="conv",
            tenant_id="t",
            input=[{"role": "user", "content": "x" * 100_000}],
            output=[],
        )
        for number in range(size)
    ]
    yield
    await cache.put(turns)
    assert len(await cache.heads(f"resp_{size - 1}")) == size
    assert len(await cache.chain(f"resp_{size - 1}")) == size


@asynccontextmanager
async def _disconnect(valkey: Valkey, size: int) -> AsyncIterator[None]:
    connections = ValkeyConnectionDirectory(valkey=valkey)
    await connections.register("c0", principal=PRINCIPAL)
    for number in range(size):
        await valkey.call("HSET", keys.turn(f"resp_{number}"), "turn", "x" * 100_000)
        await valkey.call("SADD", keys.connection_turns("c0"), f"resp_{number}")
    yield
    await connections.remove("c0")
    assert await valkey.call("EXISTS", keys.turn("resp_0"), keys.connection_turns("c0")) == 0


@asynccontextmanager
async def _workers(valkey: Valkey, size: int) -> AsyncIterator[None]:
    workers = ValkeyWorkerDirectory(valkey=valkey)
    for number in range(size):
        await valkey.call("ZADD", keys.WORKERS, 1, f"dead-{number}")
    yield
    models = tuple(ModelStatus(f"model-{number}", ModelState.SERVING) for number in range(20))
    for number in range(size):
        await workers.register(WorkerState(f"w{number}", slots=8, load=8, models=models))
    found = await workers.list()
    assert len(found) == size
    received = ReceivedJob(body="x" * 120_000, receipt_handle="r", receive_count=1)
    order = [worker.worker_id for worker in found]
    assert await workers.hand_over(received, own_id="own", order=order) == "own"
    await workers.note_load("w0", 3)


@asynccontextmanager
async def _restore(valkey: Valkey, size: int) -> AsyncIterator[None]:
    log = await prepare_log(valkey)
    events = [LoggedEvent(number, FLUSH, tuple(range(8))) for number in range(size)]
    lost = LostResponse(
        response_id="resp_0",
        tenant_id="t",
        connection_id="c0",
        job=b"job",
        age_ms=0,
        epoch=1,
        events=events,
        status=Status.IN_PROGRESS,
    )
    yield
    await log.restore(replace(lost))
    assert len(await log.read("resp_0")) == size


@asynccontextmanager
async def _deadlines(valkey: Valkey, size: int) -> AsyncIterator[None]:
    """Many responses that are overdue, the first ones with the largest jobs."""
    log = await prepare_log(valkey)

    def response(number: int) -> tuple[object, ...]:
        job = EVENT if number < 8 else b"{}"
        fields = ("status", "queued", "epoch", 0, "next_sequence", 1, "opened_ms", number + 1)
        delivery = ("tenant_id", "t", "connection_id", "c0", "relay_id", "relay-0", "job", job)
        return "HSET", keys.response(f"resp_{number}"), *fields, *delivery

    await _each(
        valkey,
        size,
        response,
        lambda number: ("ZADD", keys.DEADLINES, number + 1, f"resp_{number}"),
    )
    index = ValkeyDueIndex(valkey=valkey, deadlines=Deadlines(), retention_s=300)
    yield
    models = tuple(f"model-{number}" for number in range(1000))
    await ValkeyModelDirectory(valkey=valkey).register(models, retention_s=600)
    taken = 0
    while True:
        step = await index.take_overdue(limit=BATCH)
        taken += len(step.due)
        if not step.more:
            break
    assert taken == size
    assert await index.is_overdue("resp_0")
    assert await log.take_resend("resp_0")


CASES = (
    Case(
        name="a response's life",
        scripts=(
            *(
                "lease",
                "keep",
                "open",
                "claim",
                "checkpoint",
                "append",
                "resume",
                "repeat",
                "delivered",
            ),
        ),
        maximum="relays, with events of 120 KB",
        size=1000,
        run=_life,
    ),
    Case(
        name="takeover",
        scripts=("take_over",),
        maximum="connections of a relay",
        size=20_000,
        run=_take_over,
    ),
    Case(
        name="abandoned connection",
        scripts=("abandon",),
        maximum="running responses of a connection",
        size=1000,
        run=_abandon,
    ),
    Case(
        name="attendance",
        scripts=("attend", "leave", "keep_ended"),
        maximum=f"followed responses, {AT_ONCE} in a call, {KEPT_AT_ONCE} of those that have ended",
        size=10_000,
        run=_attend,
    ),
    Case(
        name="conversation",
        scripts=("put_turn",),
        maximum="turns of 100 KB",
        size=500,
        run=_conversation,
    ),
    Case(
        name="disconnect",
        scripts=("drop_turns",),
        maximum="unstored turns of 100 KB",
        size=500,
        run=_disconnect,
    ),
    Case(
        name="workers",
        scripts=("register_worker", "hand_over", "note_load"),
        maximum="workers",
        size=1000,
        run=_workers,
    ),
    Case(
        name="deadlines",
        scripts=("take_due", "is_overdue", "register_models", "resend"),
        maximum="overdue responses, some with jobs of 120 KB",
        size=20_000,
        run=_deadlines,
    ),
    Case(
        name="lost log",
        scripts=("restore",),
        maximum="flushes of an answer",
        size=5000,
        run=_restore,
    ),
    *UPKEEP_CASES,
)
