"""One sample of each format that crosses a process or a version, as this version writes it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from axon.adapters.aws.sqs import ParkedDeadLetter, SqsHistorySender, SqsJobSender, SqsParking
from axon.adapters.valkey.beats import ValkeyWorkerBeats
from axon.adapters.valkey.caches import ValkeyPendingHistory, ValkeyPrincipalCache, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.quarantine import ValkeyQuarantinePermits
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.conversations import Turn
from axon.deadlines import Deadlines
from axon.directory.beats import HeldChange, HeldMessage
from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import JournalRecord, LoggedEvent, Status
from axon.event_log.openings import NewResponse
from axon.history import HistoryRecord
from axon.jobs import Job, ReceivedJob
from axon.tenants.principal import Principal

PRINCIPAL = Principal(tenant_id="tenant-1", key_id="key_1", scopes=frozenset({"responses:write"}))
RESPONSE_ID = "resp_0190a1b2c3d47e5f8a9b0c1d2e3f4051"
ENDED_ID = "resp_0190a1b2c3d47e5f8a9b0c1d2e3f4052"
CONNECTION, RELAY, PEER = "c1=", "relay-0", "worker-1"
MODEL = "echo"
INPUT = [{"type": "message", "role": "user", "content": "hello"}]
OUTPUT = [
    {
        "id": "msg_0190a1b2c3d47e5f8a9b0c1d2e3f4051",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}],
    }
]
USAGE = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
CREATED_MS = 1_700_000_000_123


def a_response(response_id: str = RESPONSE_ID, **fields: Any) -> dict[str, Any]:
    """Return a response object with the fields that Axon reads, and one that it does not."""
    response = {
        "id": response_id,
        "object": "response",
        "created_at": CREATED_MS // 1000,
        "status": "queued",
        "model": MODEL,
        "previous_response_id": None,
        "store": True,
        "output": [],
        "metadata": {"colour": "blue"},
    }
    return response | fields


def a_job(response_id: str = RESPONSE_ID) -> Job:
    """Return a job of which every field has a value that is not its default."""
    return Job(
        tenant_id=PRINCIPAL.tenant_id,
        key_id=PRINCIPAL.key_id,
        scopes=PRINCIPAL.scopes,
        connection_id=CONNECTION,
        conversation_id="conv_0190a1b2c3d47e5f8a9b0c1d2e3f4051",
        stream_id="stream-7",
        created_ms=CREATED_MS,
        response=a_response(response_id),
        input=INPUT,
        sampling={"temperature": 0.5},
        priority=1,
    )


def a_record() -> HistoryRecord:
    """Return the history record of the job."""
    response = a_response(status="completed", output=OUTPUT, usage=USAGE)
    return HistoryRecord.of(
        a_job(), response=response, version=1 << 32 | 5, ended_ms=CREATED_MS + 900
    )


def a_received_job() -> ReceivedJob:
    """Return the job as a worker received it."""
    return ReceivedJob(
        body=a_job().encode().decode(),
        receipt_handle="receipt",
        receive_count=2,
        message_id="message-1",
        trace_header="Root=1-2-3",
    )


class RecordingApi:
    """Stands in for one SQS queue: keeps the parameters of each call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    async def call(self, action: str, *, wait_s: float = 0, **parameters: Any) -> dict[str, Any]:
        self.calls.append({"Action": action, **parameters})
        return {}


async def write_messages() -> dict[str, Any]:
    """Return what is sent to SQS, by name."""
    api: Any = RecordingApi()
    trace = {"trace_header": lambda: "Root=1-2-3"}
    await SqsJobSender(api=api, **trace).send(a_job())
    await SqsHistorySender(api=api, **trace).send(a_record())
    await SqsParking(api=api).park(
        ParkedDeadLetter(
            message_id="message-1",
            body=a_job().encode().decode(),
            why="failed repeatedly",
            attempts=3,
            response_id=RESPONSE_ID,
        )
    )
    return dict(zip(("sqs_job", "sqs_history", "sqs_parked"), api.calls, strict=True))


async def write_keys(url: str) -> dict[str, Any]:
    """Write what Valkey keeps into an empty server; return its keys, and what was published."""
    valkey = Valkey(url)
    listener = Redis.from_url(url).pubsub()
    # Events are granted to a relay that listens, and jobs handed over to a worker that does.
    await listener.subscribe(f"axon:relay:{RELAY}", f"axon:worker:{PEER}")
    try:
        await _write_directories(valkey)
        await _write_log(valkey)
        await ValkeyWorkerDirectory(valkey=valkey).hand_over(
            a_received_job(), own_id="worker-0", order=[PEER, "worker-0"], bounded=False
        )
        return {"keys": await _dump(valkey), "published": await _published(listener)}
    finally:
        await listener.aclose()  # type: ignore[no-untyped-call]
        await listener.connection_pool.disconnect()
        await valkey.close()


async def _write_directories(valkey: Valkey) -> None:
    await ValkeyRelayDirectory(valkey=valkey).heartbeat(RELAY, lease_s=600)
    await ValkeyModelDirectory(valkey=valkey).register((MODEL,), retention_s=600)
    await ValkeyConnectionDirectory(valkey=valkey).register(CONNECTION, principal=PRINCIPAL)
    await ValkeyPrincipalCache(valkey=valkey, ttl_s=60).put("key-hash", PRINCIPAL)
    states = tuple(ModelStatus(f"model-{state}", state, 3, "why") for state in ModelState)
    worker = WorkerState(worker_id=PEER, slots=8, load=2, models=states)
    await ValkeyWorkerDirectory(valkey=valkey).register(worker, lease_s=600)
    stored, unstored = Turn.of(a_job(), output=OUTPUT), Turn.of(a_job(ENDED_ID), output=OUTPUT)
    unstored = unstored.model_copy(update={"connection_id": CONNECTION})
    await ValkeyTurnCache(valkey=valkey, ttl_s=600).put([stored, unstored])
    await ValkeyPendingHistory(valkey=valkey).add(a_record())
    held = HeldChange(before=None, after=1, added=[HeldMessage("receipt", "message-1")])
    await ValkeyWorkerBeats(valkey=valkey, keep_s=60).beat("incarnation", held, count=1)
    await ValkeyQuarantinePermits(valkey=valkey).acquire(PEER)


async def _write_log(valkey: Valkey) -> None:
    """Write one response that runs and was posted in part, and one that was resumed and ended."""
    log = ValkeyEventLog(valkey=valkey, deadlines=Deadlines(), retention_s=300, resume_window_s=60)
    for response_id, status in ((RESPONSE_ID, Status.IN_PROGRESS), (ENDED_ID, Status.COMPLETED)):
        await log.open(
            NewResponse(
                response_id=response_id,
                tenant_id=PRINCIPAL.tenant_id,
                key_id=PRINCIPAL.key_id,
                connection_id=CONNECTION,
                model=MODEL,
                job=a_job(response_id).encode(),
                created=b'{"type":"response.created"}',
                idempotency=f"digest-{status}",
                fingerprint="fingerprint",
            )
        )
        claim = await log.claim(
            response_id, in_progress=b'{"type":"response.in_progress"}', message_id="message-1"
        )
        await log.append(
            response_id,
            epoch=claim.epoch,
            events=[LoggedEvent(2, b'{"delta":"hello"}', (7, 8)), LoggedEvent(3, b'{"n":3}')],
            status=status,
            journal=[JournalRecord(number=0, after=1, kind="search", data=b"found")],
        )
    await log.checkpoint(
        RESPONSE_ID,
        DeliveryCheckpoint(2, TailState.IN_DOUBT),
        relay_id=RELAY,
        connection_id=CONNECTION,
    )
    await log.resume(ENDED_ID, tenant_id=PRINCIPAL.tenant_id, connection_id=CONNECTION, first=2)
    await log.abandon(CONNECTION)


async def _published(listener: Any) -> list[str]:
    """Return what was published so far, without the header lines' times."""
    found: list[str] = []
    while (message := await listener.get_message(timeout=0.2)) is not None:
        if message["type"] == "message":
            found.append(message["data"].decode())
    return found


async def _dump(valkey: Valkey) -> dict[str, Any]:
    keys = sorted(key.decode() for key in await valkey.call("KEYS", "*"))
    return {key: await _value(valkey, key) for key in keys}


async def _value(valkey: Valkey, key: str) -> dict[str, Any]:
    kind = (await valkey.call("TYPE", key)).decode()
    match kind:
        case "hash":
            fields = await valkey.call("HGETALL", key)
            value: Any = {name.decode(): text.decode() for name, text in fields.items()}
        case "stream":
            entries = await valkey.call("XRANGE", key, "-", "+")
            value = {
                number.decode(): {name.decode(): text.decode() for name, text in fields.items()}
                for number, fields in entries
            }
        case "zset":
            members = await valkey.call("ZRANGE", key, 0, -1)
            value = sorted(member.decode() for member in members)
        case "set":
            value = sorted(member.decode() for member in await valkey.call("SMEMBERS", key))
        case _:
            value = (await valkey.call("GET", key)).decode()
    return {"type": kind, "value": value}


async def load_keys(valkey: Valkey, keys: Mapping[str, Any], *, due_ms: int) -> None:
    """Write keys that `write_keys` returned into an empty server; leases and so on end at once.

    Parameters
    ----------
    valkey : Valkey
        A client of the server.
    keys : Mapping[str, Any]
        The keys.
    due_ms : int
        Score of every member of a sorted set, in milliseconds of the Unix epoch.
    """
    for key, entry in keys.items():
        for command in _commands(key, entry["type"], entry["value"], due_ms):
            await valkey.call(*command)


def _commands(key: str, kind: str, value: Any, due_ms: int) -> Sequence[tuple[Any, ...]]:
    match kind:
        case "hash":
            return [("HSET", key, *(part for pair in value.items() for part in pair))]
        case "stream":
            return [
                ("XADD", key, number, *(part for pair in fields.items() for part in pair))
                for number, fields in value.items()
            ]
        case "zset":
            return [("ZADD", key, due_ms, member) for member in value]
        case "set":
            return [("SADD", key, *value)]
        case _:
            return [("SET", key, value)]


async def write(url: str) -> dict[str, Any]:
    """Return every sample; Valkey's are written into an empty server first."""
    return {
        "job": a_job().encode().decode(),
        "received_job": a_received_job().encode().decode(),
        "history_record": a_record().model_dump_json(),
        "turn": Turn.of(a_job(), output=OUTPUT).encode().decode(),
        **await write_messages(),
        **await write_keys(url),
    }


if __name__ == "__main__":
    import sys

    print(json.dumps(asyncio.run(write(sys.argv[1])), indent=1, sort_keys=True))
