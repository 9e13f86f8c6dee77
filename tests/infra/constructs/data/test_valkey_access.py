"""The access string lets Axon do all that it does, and nothing else: proven on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis
from redis.exceptions import NoPermissionError

from axon.adapters.valkey import replication
from axon.adapters.valkey.api_keys import ValkeyOpenConnections, ValkeyWrongKeys
from axon.adapters.valkey.caches import ValkeyPrincipalCache, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelChanges,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.follower import ValkeyFollower
from axon.adapters.valkey.uploads import ValkeyUploadBudget
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.conversations import Turn
from axon.deadlines import Deadlines
from axon.directory.workers import ModelState, ModelStatus, WorkerState
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import JournalRecord, LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse, OpenResult, Resumption
from axon.event_log.publication import Publication
from axon.jobs import ReceivedJob
from axon.uploads import BUDGET_BYTES
from infra.constructs.data.valkey_access import ACCESS_STRING
from relay.subscriber import RelaySubscriber
from tests.support.clients import valkey_client
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from worker.cluster.peer_jobs import PeerJobSubscriber

USER = "axon-test"
PASSWORD = "secret"


@pytest.fixture
def admin(valkey_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        command: Callable[..., object] = client.execute_command
        command("ACL", "SETUSER", USER, f">{PASSWORD}", *ACCESS_STRING.split())
        client.acl_log_reset()
        yield client
        client.acl_deluser(USER)


@pytest.fixture
async def axon(admin: "redis.Redis", valkey_url: str) -> AsyncIterator[Valkey]:
    """Axon's own client, logged in as the user that has the access string."""
    async with valkey_client(valkey_url.replace("//", f"//{USER}:{PASSWORD}@")) as client:
        yield client


def refused(admin: "redis.Redis") -> list[object]:
    """Return what the server refused, also where a client took no notice."""
    return list(admin.acl_log())


def event_log(axon: Valkey, *, deadline_s: float = 600) -> ValkeyEventLog:
    return ValkeyEventLog(
        valkey=axon, deadlines=Deadlines(queue_s=deadline_s), retention_s=300, resume_window_s=0.01
    )


def new_response(response_id: str, *, idempotency: str = "") -> NewResponse:
    return NewResponse(
        response_id=response_id,
        tenant_id="t",
        connection_id="c1",
        model="echo",
        job=b"{}",
        created=b"created",
        idempotency=idempotency,
        fingerprint="request" if idempotency else "",
    )


def turn(response_id: str, *, previous: str | None, connection_id: str | None) -> Turn:
    return Turn(
        response_id=response_id,
        previous_response_id=previous,
        conversation_id="conv",
        tenant_id="t",
        connection_id=connection_id,
        input=[],
        output=[],
    )


async def test_valkey_user_may_wait_for_replicas(
    axon: Valkey, admin: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication, "_has_replica", lambda _: True)
    monkeypatch.setattr(replication, "_CALL_MS", 1)
    monkeypatch.setattr(replication, "WITHIN_S", 0)
    await replication.Replication(axon).caught_up()
    assert refused(admin) == []


async def test_valkey_user_may_run_a_response_from_open_to_end(
    axon: Valkey, admin: "redis.Redis"
) -> None:
    log = event_log(axon, deadline_s=0)
    await ValkeyModelDirectory(valkey=axon).register(("echo",), retention_s=600)
    await ValkeyRelayDirectory(valkey=axon).heartbeat("r1", lease_s=600)
    await ValkeyConnectionDirectory(valkey=axon).register("c1", principal=a_principal())

    assert (await log.open(new_response("resp_1"))).outcome is OpenResult.OPENED
    assert await log.overdue() == ["resp_1"]
    claim = await log.claim("resp_1", in_progress=b"in_progress")
    delta = LoggedEvent(sequence_number=2, data=b"delta", token_ids=(1, 2))
    step = JournalRecord(number=0, after=1, kind="step", data=b"result")
    await log.append("resp_1", epoch=claim.epoch, events=[delta], journal=[step])
    assert await log.read_journal("resp_1") == [step]
    assert await log.running_for("c1") == {"resp_1"}
    end = LoggedEvent(sequence_number=3, data=b"completed")
    await log.append("resp_1", epoch=claim.epoch, events=[end], status=Status.COMPLETED)
    await log.forget("resp_1")

    described = await log.describe("resp_1")
    assert described is not None
    assert described.status is Status.COMPLETED
    events = await log.read("resp_1")
    assert [event.data for event in events] == [b"created", b"in_progress", b"delta", b"completed"]
    assert refused(admin) == []


async def test_valkey_user_may_use_the_directories(axon: Valkey, admin: "redis.Redis") -> None:
    relays = ValkeyRelayDirectory(valkey=axon)
    models = ValkeyModelDirectory(valkey=axon)
    connections = ValkeyConnectionDirectory(valkey=axon)
    log = event_log(axon)

    await models.register(("echo",), retention_s=600)
    await models.expect(("asleep",), retention_s=600)
    assert await models.list() == ["asleep", "echo"]
    await models.remove(("asleep",))
    await ValkeyModelChanges(valkey=axon).publish()
    # Late, but alive for want of a better one: the script looks for it by another command.
    await relays.heartbeat("r1", lease_s=-1)
    await connections.register("c1", principal=a_principal())
    assert (await log.open(new_response("resp_1"))).outcome is OpenResult.OPENED
    assert await relays.undelivered("r1") == {"resp_1"}
    await relays.delivered("r1", "resp_1")
    assert await relays.expired() == ["r1"]
    await relays.end_lease("r1")
    await connections.remove("c1")
    assert (await log.open(new_response("resp_2"))).outcome is OpenResult.GONE
    assert refused(admin) == []


async def test_valkey_user_may_recover_after_a_loss(axon: Valkey, admin: "redis.Redis") -> None:
    log, connections = event_log(axon), ValkeyConnectionDirectory(valkey=axon)
    relays = ValkeyRelayDirectory(valkey=axon)
    await ValkeyModelDirectory(valkey=axon).register(("echo",), retention_s=600)
    await relays.heartbeat("r1", lease_s=600)
    for connection_id in ("c1", "c2"):
        await connections.register(connection_id, principal=a_principal())
    opened = new_response("resp_1", idempotency="key")
    assert (await log.open(opened)).outcome is OpenResult.OPENED
    assert (
        await log.open(new_response("resp_2", idempotency="key"))
    ).outcome is OpenResult.REPEATED
    assert await log.repeated("key", fingerprint="f", connection_id="", lane="*") is not None

    await log.checkpoint("resp_1", DeliveryCheckpoint(1), relay_id="r1", connection_id="c1")
    await log.abandon("c1")
    await asyncio.sleep(0.05)
    assert await log.abandoned() == ["resp_1"]
    resumed = await log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
    assert resumed is Resumption.RESUMED
    await relays.heartbeat("r2", lease_s=600)
    await relays.end_lease("r1")
    taken_over = await relays.take_over("r1", successor_id="r2")
    assert [each.response_id for each in taken_over] == ["resp_1"]
    assert await relays.take_over("r1", successor_id="r2") == []

    lost = LostResponse(
        response_id="resp_3",
        tenant_id="t",
        connection_id="c2",
        job=b"{}",
        age_ms=0,
        epoch=1,
        events=[LoggedEvent(sequence_number=0, data=b"created")],
        status=Status.IN_PROGRESS,
    )
    await log.restore(lost)
    assert await log.describe("resp_3") is not None
    assert refused(admin) == []


async def test_valkey_user_may_choose_a_relay_by_its_load(
    axon: Valkey, admin: "redis.Redis"
) -> None:
    relays = ValkeyRelayDirectory(valkey=axon)
    log = event_log(axon)
    await ValkeyModelDirectory(valkey=axon).register(("echo",), retention_s=600)
    for relay in ("r1", "r2"):
        await relays.heartbeat(relay, lease_s=600)
    assert (await log.open(new_response("resp_1"))).outcome is OpenResult.OPENED
    assert refused(admin) == []


async def test_valkey_user_may_use_the_caches(axon: Valkey, admin: "redis.Redis") -> None:
    turns = ValkeyTurnCache(valkey=axon, ttl_s=900)
    await turns.put([turn("resp_1", previous=None, connection_id=None)])
    await turns.put([turn("resp_2", previous="resp_1", connection_id="c1")])
    assert [each.response_id for each in await turns.chain("resp_2")] == ["resp_1", "resp_2"]
    await turns.evict("resp_2")
    await ValkeyConnectionDirectory(valkey=axon).remove("c1")

    principals = ValkeyPrincipalCache(valkey=axon, ttl_s=60)
    principal = a_principal("t", key_id="k")
    await principals.put("hash", principal)
    assert (await principals.get("hash")).principal == principal
    await principals.put_unknown("hash")
    await principals.drop("hash")
    await _keys(axon)
    assert refused(admin) == []


async def _keys(axon: Valkey) -> None:
    """Use all that is kept of API keys, a revoked one included."""
    wrong_keys, connections = ValkeyWrongKeys(valkey=axon), ValkeyOpenConnections(valkey=axon)
    await wrong_keys.count("192.0.2.1")
    await wrong_keys.wait_s("192.0.2.1")
    for _ in range(2):
        await ValkeyUploadBudget(valkey=axon).take("t", BUDGET_BYTES)
    await connections.note_valid("key_1")
    for number in range(2):
        # One that has expired is removed by the other one.
        await connections.note("key_1", f"c{number}")
        await axon.call("ZADD", "axon:key:key_1:connections", 1, f"c{number}")
    await connections.revoke("key_1")
    await connections.note("key_1", "late")
    for connection in await connections.revoked("relay", limit=10):
        await connections.notified(connection)
        await connections.remove("key_1", connection.connection_id)
    assert await connections.revoked("relay", limit=10) == []


async def test_valkey_user_may_subscribe_as_a_relay(axon: Valkey, admin: "redis.Redis") -> None:
    received: asyncio.Queue[Publication] = asyncio.Queue()
    left = asyncio.Event()
    subscriber = RelaySubscriber(
        valkey=axon,
        relay_id="r1",
        receive=received.put_nowait,
        resubscribed=lambda: None,
        relay_left=left.set,
    )
    running = asyncio.create_task(subscriber.run())
    try:
        async with asyncio.timeout(10):
            await subscriber.subscribed.wait()
            await subscriber.pulse()
            await axon.call("PUBLISH", "axon:relay:r1", b"resp_1 c1 0 -\nevent")
            assert (await received.get()).response_id == "resp_1"
            await ValkeyRelayDirectory(valkey=axon).end_lease("r2")
            await left.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert refused(admin) == []


async def test_valkey_user_may_follow_a_response(axon: Valkey, admin: "redis.Redis") -> None:
    log = event_log(axon)
    await ValkeyModelDirectory(valkey=axon).register(("echo",), retention_s=600)
    await ValkeyRelayDirectory(valkey=axon).heartbeat("r1", lease_s=600)
    await log.open(new_response("resp_1"))
    follower = ValkeyFollower(valkey=axon, log=log, first_look_s=60)
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            following = follower.follow("resp_1", tenant_id="t")
            events = [(await anext(following)).data]
            await eventually(lambda: follower.connected)
            claim = await log.claim("resp_1", in_progress=b"in_progress")
            events.append((await anext(following)).data)
            end = LoggedEvent(sequence_number=2, data=b"completed")
            await log.append("resp_1", epoch=claim.epoch, events=[end], status=Status.COMPLETED)
            events += [event.data async for event in following]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert events == [b"created", b"in_progress", b"completed"]
    assert refused(admin) == []


async def test_valkey_user_may_hand_jobs_over(axon: Valkey, admin: "redis.Redis") -> None:
    received: asyncio.Queue[ReceivedJob] = asyncio.Queue()
    listening, changed = asyncio.Event(), asyncio.Event()
    peer_jobs = PeerJobSubscriber(
        valkey=axon,
        worker_id="w1",
        accept=received.put_nowait,
        models_changed=changed.set,
        subscribed=listening.set,
        max_age_s=10,
    )
    directory = ValkeyWorkerDirectory(valkey=axon)
    running = asyncio.create_task(peer_jobs.run())
    try:
        async with asyncio.timeout(10):
            await listening.wait()
            changed.clear()
            worker = WorkerState(
                "w1", slots=2, load=0, models=[ModelStatus("m", ModelState.SERVING)]
            )
            await directory.register(worker, lease_s=0.001)
            await asyncio.sleep(0.05)
            await directory.register(worker)
            await directory.note_load("w1", 1)
            assert len(await directory.list()) == 1
            job = ReceivedJob(body="", receipt_handle="r", receive_count=1, message_id="m")
            for _ in range(2):
                chosen = await directory.hand_over(job, own_id="w2", order=["w1"])
                assert chosen == "w1"
            assert (await received.get()).forwarded
            await ValkeyModelChanges(valkey=axon).publish()
            await changed.wait()
            await peer_jobs.catch_up()
            await directory.remove("w1")
            assert await directory.list() == []
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert refused(admin) == []


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET maxmemory",
        "CONFIG SET maxmemory 1",
        "KEYS *",
        "SCAN 0",
        "ACL LIST",
        "ACL SETUSER other on",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "MONITOR",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "FUNCTION FLUSH",
        "SCRIPT FLUSH",
        "SELECT 1",
        "SWAPDB 0 1",
        "PSUBSCRIBE *",
        "PUBSUB CHANNELS",
        "RENAME axon:models axon:relays",
        # Other people's keys and channels, directly and by a script.
        "GET other",
        "SET other 1",
        "DEL axon other",
        "PUBLISH other x",
        "PUBLISH axon:other x",
        "PUBLISH axon:relays:other x",
        "PUBLISH axon:models:other x",
        "SUBSCRIBE axon:other",
    ],
)
async def test_valkey_user_is_refused_every_other_command(axon: Valkey, command: str) -> None:
    with pytest.raises(NoPermissionError):
        await axon.call(*command.split())


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('GET', 'other')",
        "return redis.call('FLUSHALL')",
        "return redis.call('PUBLISH', 'other', 'x')",
    ],
)
async def test_valkey_user_is_refused_other_commands_in_scripts(axon: Valkey, script: str) -> None:
    with pytest.raises(redis.ResponseError, match="ACL failure"):
        await axon.redis.eval(script, 0)


async def test_valkey_user_needs_its_password(admin: "redis.Redis", valkey_url: str) -> None:
    async with valkey_client(valkey_url.replace("//", f"//{USER}:wrong@")) as client:
        with pytest.raises(redis.AuthenticationError):
            await client.redis.ping()
