"""Replication: a claim that fences off another one is kept by a replica before it is used."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from axon.adapters.valkey import keys, replication
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.deadlines import Deadlines
from axon.event_log.log import Claim
from axon.event_log.openings import NewResponse, OpenResult
from axon.exceptions import FencedError, UnavailableError
from tests.conftest import Servers
from tests.support.clients import valkey_client
from tests.support.eventually import wait_until
from tests.support.principals import a_principal
from tests.support.valkey_pair import ValkeyServers, valkey_servers

RESPONSE = "resp_1"


@pytest.fixture
async def pair(servers: Servers) -> AsyncIterator[ValkeyServers]:
    async with valkey_servers(servers) as pair:
        yield pair


async def claimed_once(valkey: Valkey) -> ValkeyEventLog:
    """Return a log with a response that one attempt has claimed."""
    log = ValkeyEventLog(valkey=valkey, deadlines=Deadlines(), retention_s=60, resume_window_s=60)
    await ValkeyRelayDirectory(valkey=valkey).heartbeat("relay", lease_s=600)
    new = NewResponse(
        response_id=RESPONSE,
        tenant_id="t",
        connection_id="c1",
        model="echo",
        job=b"{}",
        created=b"{}",
    )
    await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
    await ValkeyConnectionDirectory(valkey=valkey).register("c1", principal=a_principal())
    assert (await log.open(new)).outcome is OpenResult.OPENED
    await log.claim(RESPONSE, in_progress=b"{}")
    return log


async def test_replication_keeps_a_later_claim_through_a_failover(pair: ValkeyServers) -> None:
    async with valkey_client(pair.address.url) as valkey:
        log = await claimed_once(valkey)
        await asyncio.to_thread(pair.stall)
        later = asyncio.create_task(log.claim(RESPONSE))
        done, _ = await asyncio.wait({later}, timeout=1.5)
        assert not done  # as long as a failover could undo it
        pair.link.heal()
        claim = await later
        await asyncio.to_thread(pair.fail_over)
        meta = await log.describe(RESPONSE)
        assert meta is not None
        assert (meta.epoch, meta.nonce) == (claim.epoch, claim.nonce)


async def test_replication_lets_nobody_use_a_claim_that_a_failover_undoes(
    pair: ValkeyServers,
) -> None:
    async with valkey_client(pair.address.url) as valkey:
        log = await claimed_once(valkey)
        await asyncio.to_thread(pair.stall)
        later = asyncio.create_task(log.claim(RESPONSE))

        def claimed() -> bool:
            name = keys.response(RESPONSE)
            return bool(pair.admin("HGET", name, "epoch", server=pair.primary) == b"2")

        await asyncio.to_thread(wait_until, claimed)
        await asyncio.to_thread(pair.fail_over)
        # The connection breaks, or the wait goes on with a server that has another history: its
        # claim is unknown there, so nothing that it would append is accepted.
        result = (await asyncio.gather(later, return_exceptions=True))[0]
        if isinstance(result, Claim):
            with pytest.raises(FencedError):
                await log.append(
                    RESPONSE,
                    epoch=result.epoch,
                    events=[],
                    nonce=result.nonce,
                    predecessor=result.predecessor,
                )
        else:
            assert isinstance(result, UnavailableError)


async def test_replication_waits_for_no_replica_where_none_is_connected(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication, "_CALL_MS", 60_000)
    log = await claimed_once(valkey)
    async with asyncio.timeout(5):
        await log.claim(RESPONSE)


async def test_replication_gives_up_on_a_replica_that_lags_for_too_long(
    pair: ValkeyServers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replication, "WITHIN_S", 0.2)
    monkeypatch.setattr(replication, "_CALL_MS", 100)
    async with valkey_client(pair.address.url) as valkey:
        log = await claimed_once(valkey)
        await asyncio.to_thread(pair.stall)
        began = time.monotonic()
        await log.claim(RESPONSE)
        assert time.monotonic() - began >= 0.2
    assert "no replica has caught up" in caplog.text
    pair.link.heal()
