"""Responses that wait for a worker and expire at one moment, and how they ended."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.deadlines import Deadlines
from axon.event_log.log import Status
from axon.event_log.openings import NewResponse, OpenResult
from axon.ids import new_id
from axon.jobs import Job, new_job
from axon.protocol.objects import response_object
from axon.protocol.requests import CreateResponse, parse_event
from axon.tenants.principal import ALL_SCOPES, Principal
from benchmarks.model import BenchmarkError

MODEL = "echo"
RELAYS = ("bench-relay-0", "bench-relay-1")
DEADLINES = Deadlines(queue_s=10.0)
"""The time in the queue runs from the first worker of the model on: so all expire at one moment."""
_PER_CONNECTION = 20
_AT_ONCE = 500
_INPUT = "What became of the ship that left the harbour on the third of May? " * 4


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The state in which the responses were found in the end.

    Parameters
    ----------
    states : Mapping[str, int]
        Number of responses by status, epoch and next sequence number, in words.
    left : int
        Entries that are still in the index of deadlines.
    ended_once : int
        Responses that have failed by one claim and one event.
    """

    states: Mapping[str, int]
    left: int
    ended_once: int


async def open_responses(valkey: Valkey, count: int, *, stored: bool) -> list[str]:
    """Open responses of connections of two relays; return their ids."""
    relays = ValkeyRelayDirectory(valkey=valkey)
    for relay in RELAYS:
        await relays.heartbeat(relay, lease_s=3600)
    jobs = [_job(number, stored=stored) for number in range(count)]
    connections = ValkeyConnectionDirectory(valkey=valkey)
    for job in jobs[::_PER_CONNECTION]:
        await connections.register(job.connection_id, principal=job.principal)
    log = ValkeyEventLog(
        valkey=valkey, deadlines=DEADLINES, retention_s=300, resume_window_s=60, models=(MODEL,)
    )
    for first in range(0, count, _AT_ONCE):
        await asyncio.gather(*(_open(log, job) for job in jobs[first : first + _AT_ONCE]))
    return [job.response_id for job in jobs]


async def serve_model(valkey: Valkey) -> None:
    """Register the model as a worker does, again and again."""
    directory = ValkeyModelDirectory(valkey=valkey)
    while True:
        await directory.register((MODEL,), retention_s=600)
        await asyncio.sleep(3)


async def deadline(valkey: Valkey) -> float:
    """Return the moment at which all responses expire, in seconds of the Unix epoch."""
    while (since := await valkey.call("ZSCORE", keys.MODELS_SERVED_SINCE, MODEL)) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # Valkey does not notify anybody of that
    return float(since) / 1000 + DEADLINES.queue_s


async def outcome(valkey: Valkey, ids: Sequence[str]) -> Outcome:
    """Return how the responses ended."""
    states: Counter[tuple[str, ...]] = Counter()
    for first in range(0, len(ids), _AT_ONCE):
        calls = (
            valkey.call("HMGET", keys.response(each), "status", "epoch", "next_sequence")
            for each in ids[first : first + _AT_ONCE]
        )
        for fields in await asyncio.gather(*calls):
            states[tuple(field.decode() if field else "-" for field in fields)] += 1
    return Outcome(
        states={"{}, epoch {}, {} events".format(*state): n for state, n in states.items()},
        left=await valkey.call("ZCARD", keys.DEADLINES),
        ended_once=states[Status.FAILED.value, "1", "2"],
    )


async def _open(log: ValkeyEventLog, job: Job) -> None:
    opening = await log.open(
        NewResponse(
            response_id=job.response_id,
            tenant_id=job.tenant_id,
            connection_id=job.connection_id,
            model=job.model,
            job=job.encode(),
            created=job.transcript().created().data,
        )
    )
    # No worker has registered the model yet.
    if opening.outcome is not OpenResult.UNATTENDED:
        raise BenchmarkError(f"a response was not opened: {opening.outcome}")


def _job(number: int, *, stored: bool) -> Job:
    request = parse_event(
        {"type": "response.create", "model": MODEL, "input": _INPUT, "store": stored}
    )
    if not isinstance(request, CreateResponse):
        raise BenchmarkError(f"not a request: {request}")
    connection = number // _PER_CONNECTION
    now = time.time()
    return new_job(
        request,
        response=response_object(request, response_id=new_id("resp"), created_at=int(now)),
        principal=Principal(tenant_id=f"tenant-{connection % 50}", key_id="k", scopes=ALL_SCOPES),
        connection_id=f"connection-{connection}",
        conversation_id=new_id("conv"),
        created_ms=int(now * 1000),
    )
