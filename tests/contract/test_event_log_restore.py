"""Logs that Valkey has lost, made again from what a worker holds."""

import time
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Claim, LostResponse, OpenResult, Resumption, Status
from axon.exceptions import FencedError, UnavailableError
from tests.contract.conftest import Bench, MakeBench
from tests.contract.event_log_samples import (
    NEW,
    described,
    end,
    events,
    numbers,
    open_and_claim,
    prepare,
)

TOKENS = (5, 70000)


def lost(*, count: int = 4, epoch: int = 3, status: Status = Status.IN_PROGRESS) -> LostResponse:
    return LostResponse(
        response_id="resp_1",
        tenant_id="t",
        key_id="key_1",
        connection_id="c1",
        job=NEW.job,
        deadline_ms=int((time.time() + 600) * 1000),
        epoch=epoch,
        events=[*events(0, count - 1), *events(count - 1, token_ids=TOKENS)],
        status=status,
    )


async def test_it_goes_on_where_it_was(bench: Bench) -> None:
    await bench.log.restore(lost())
    assert await bench.log.read("resp_1") == list(lost().events)
    await bench.log.append("resp_1", epoch=3, events=events(4, 2))
    assert await numbers(bench.log) == list(range(6))
    assert await bench.log.claim("resp_1") == Claim(epoch=4, next_sequence=6)
    with pytest.raises(FencedError):
        await bench.log.append("resp_1", epoch=3, events=events(6))


async def test_it_is_described(bench: Bench) -> None:
    await bench.log.restore(lost())
    meta = await described(bench.log)
    assert (meta.tenant_id, meta.connection_id, meta.relay_id) == ("t", "c1", "r1")
    assert meta.key_id == "key_1"
    assert (meta.status, meta.epoch, meta.next_sequence) == (Status.IN_PROGRESS, 3, 4)
    assert meta.job == NEW.job
    assert await bench.log.running_for("c1") == {"resp_1"}
    assert await bench.relays.undelivered("r1") == {"resp_1"}


async def test_what_the_client_was_told_is_not_known(bench: Bench) -> None:
    await bench.log.restore(lost())
    assert (await described(bench.log)).checkpoint == DeliveryCheckpoint(0, TailState.IN_DOUBT)


async def test_a_relay_that_knows_goes_on(bench: Bench) -> None:
    await bench.log.restore(lost())
    await bench.log.checkpoint("resp_1", DeliveryCheckpoint(3), relay_id="r1", connection_id="c1")
    assert (await described(bench.log)).checkpoint == DeliveryCheckpoint(3)


async def test_the_client_resumes(bench: Bench) -> None:
    await bench.log.restore(lost())
    resumption = await bench.log.resume("resp_1", tenant_id="t", connection_id="c2", first=3)
    assert resumption is Resumption.RESUMED
    assert (await described(bench.log)).checkpoint == DeliveryCheckpoint(3)


async def test_what_was_not_lost_stays(bench: Bench) -> None:
    await open_and_claim(bench.log)
    before = await described(bench.log)
    await bench.log.restore(lost())
    assert await described(bench.log) == before
    assert await numbers(bench.log) == [0, 1]


async def test_what_has_ended_stays(bench: Bench) -> None:
    await end(bench.log, await open_and_claim(bench.log))
    await bench.log.restore(lost())
    assert (await described(bench.log)).status is Status.COMPLETED


async def test_what_valkey_has_forgotten(bench: Bench) -> None:
    await end(bench.log, await open_and_claim(bench.log))
    bench.lose()
    assert await bench.log.describe("resp_1") is None
    assert await numbers(bench.log) == []
    await prepare(bench)
    await bench.log.restore(lost(count=2, epoch=1))
    await bench.log.append("resp_1", epoch=1, events=events(2))
    assert await numbers(bench.log) == [0, 1, 2]


async def test_an_end(bench: Bench) -> None:
    await bench.log.restore(lost(status=Status.CANCELLED))
    meta = await described(bench.log)
    assert (meta.status, meta.job) == (Status.CANCELLED, b"")
    assert await bench.log.running_for("c1") == set()
    assert await bench.relays.undelivered("r1") == {"resp_1"}
    with pytest.raises(FencedError):
        await bench.log.claim("resp_1")


async def test_without_a_relay(bench: Bench) -> None:
    await bench.relays.leave("r1")
    with pytest.raises(UnavailableError):
        await bench.log.restore(lost())
    assert await bench.log.describe("resp_1") is None


async def test_it_is_overdue_when_it_was_to_be(bench: Bench) -> None:
    await bench.log.restore(replace(lost(), deadline_ms=1))
    assert await bench.log.overdue() == ["resp_1"]
    await bench.log.restore(replace(lost(), response_id="resp_2"))
    assert await bench.log.overdue() == ["resp_1"]


async def test_it_is_abandoned_unless_somebody_is_told(make_bench: MakeBench) -> None:
    async with make_bench(resume_window_s=0.3) as bench:
        await prepare(bench)
        for number in (1, 2, 3):
            await bench.log.restore(replace(lost(), response_id=f"resp_{number}"))
        await bench.log.restore(replace(lost(status=Status.FAILED), response_id="resp_4"))
        await bench.log.checkpoint(
            "resp_2", DeliveryCheckpoint(2), relay_id="r1", connection_id="c1"
        )
        await bench.log.resume("resp_3", tenant_id="t", connection_id="c2", first=2)
        assert await bench.log.abandoned() == []
        await bench.seconds(0.32)
        assert await bench.log.abandoned() == ["resp_1"]


async def test_after_a_loss_a_key_is_new(bench: Bench) -> None:
    keyed = replace(NEW, idempotency="key", fingerprint="one")
    await bench.log.open(keyed)
    bench.lose()
    await prepare(bench)
    again = await bench.log.open(replace(keyed, response_id="resp_2"))
    assert again.outcome is OpenResult.OPENED
