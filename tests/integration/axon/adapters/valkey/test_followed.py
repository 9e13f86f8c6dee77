"""Followed responses in Valkey: what is kept of them, and for how long."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory, ValkeyRelayDirectory
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.traces import DELIVERY_S, ValkeyResponseTraces
from axon.deadlines import Deadlines
from axon.event_log.log import LoggedEvent, LostResponse, Status
from axon.event_log.openings import NewResponse, OpenResult
from tests.support.clients import valkey_client

NEW = NewResponse(
    response_id="resp_1",
    tenant_id="t",
    connection_id="",
    model="echo",
    job=b"job",
    created=b"{}",
    lane="*",
)
RETENTION_S = 300
INDEXES = {"axon:models", "axon:models:last-seen", "axon:models:served-since", "axon:relays"}


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with valkey_client(valkey_url) as valkey:
        await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
        await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
        yield valkey


@pytest.fixture
def log(valkey: Valkey) -> ValkeyEventLog:
    return ValkeyEventLog(
        valkey=valkey,
        deadlines=Deadlines(queue_s=RETENTION_S),
        retention_s=RETENTION_S,
        resume_window_s=60,
    )


async def end(log: ValkeyEventLog) -> None:
    claim = await log.claim("resp_1", in_progress=b"{}", message_id="m")
    final = [LoggedEvent(claim.next_sequence, b"{}")]
    await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.COMPLETED)


async def kept(valkey: Valkey) -> set[str]:
    """Return the keys that are kept beside those of workers and relays."""
    return {key.decode() for key in await valkey.call("KEYS", "axon:*")} - INDEXES


async def test_followed_response_leaves_its_log_alone_and_that_for_the_retention(
    valkey: Valkey, log: ValkeyEventLog
) -> None:
    await valkey.call("HSET", keys.MEMORY, "tenant_bytes", 10**6)
    await log.open(NEW)
    held = {"axon:tenant:t:held", "axon:tenant:t:held:bytes"}
    of_log = {keys.response("resp_1"), keys.events("resp_1")}
    assert await kept(valkey) == {*of_log, *held, keys.DEADLINES, keys.ABANDONED, keys.MEMORY}
    await end(log)
    assert await kept(valkey) == {*of_log, *held, keys.MEMORY}
    for key in of_log:
        assert 0 < await valkey.call("TTL", key) <= RETENTION_S


async def test_followed_response_is_restored_under_its_own_keys(
    valkey: Valkey, log: ValkeyEventLog
) -> None:
    lost = LostResponse(
        response_id="resp_1",
        tenant_id="t",
        connection_id="",
        job=b"job",
        age_ms=0,
        epoch=1,
        events=[LoggedEvent(0, b"{}"), LoggedEvent(1, b"{}")],
        status=Status.IN_PROGRESS,
    )
    await log.restore(lost)
    of_log = {keys.response("resp_1"), keys.events("resp_1")}
    assert await kept(valkey) == {*of_log, keys.DEADLINES, keys.ABANDONED}
    assert await valkey.call("HGET", keys.response("resp_1"), "relay_id") == b""


async def test_followed_response_counts_for_its_tenant_alone(
    valkey: Valkey, log: ValkeyEventLog
) -> None:
    limits = {"tenant_bytes": 170_000, "connection_bytes": 1}  # two requests, and none
    await valkey.call("HSET", keys.MEMORY, *(part for pair in limits.items() for part in pair))
    new = [replace(NEW, response_id=f"resp_{number}") for number in (1, 2, 3)]
    assert [(await log.open(each)).outcome for each in new] == [
        OpenResult.OPENED,
        OpenResult.OPENED,
        OpenResult.TENANT_FULL,
    ]
    await end(log)
    assert (await log.open(new[2])).outcome is OpenResult.OPENED


@pytest.mark.parametrize("followed", [True, False])
async def test_deleted_response_is_kept_a_moment_for_those_who_follow_it(
    valkey: Valkey, log: ValkeyEventLog, *, followed: bool
) -> None:
    await log.open(NEW)
    await end(log)
    events = keys.events("resp_1")
    async with valkey.redis.pubsub() as follower:
        if followed:
            await follower.subscribe(keys.response_channel("resp_1"))
            assert await follower.get_message(timeout=5)
        await ValkeyResponseTraces(valkey=valkey).erase("resp_1")
        left_s = await valkey.call("TTL", events)
    assert (0 < left_s <= DELIVERY_S) if followed else left_s == -2
