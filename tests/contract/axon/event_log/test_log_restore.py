"""Logs that Valkey has lost, made again from what a worker holds."""

from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Claim, LostResponse, Status
from axon.event_log.openings import OpenResult, Resumption
from axon.exceptions import FencedError, UnavailableError
from tests.contract.axon.event_log.event_log_samples import (
    NEW,
    described,
    end,
    events,
    numbers,
    open_and_claim,
    prepare,
)
from tests.contract.conftest import EventLogHarness, MakeHarness

TOKENS = (5, 70000)


def lost(*, count: int = 4, epoch: int = 3, status: Status = Status.IN_PROGRESS) -> LostResponse:
    return LostResponse(
        response_id="resp_1",
        tenant_id="t",
        key_id="key_1",
        connection_id="c1",
        job=NEW.job,
        age_ms=0,
        epoch=epoch,
        events=[*events(0, count - 1), *events(count - 1, token_ids=TOKENS)],
        status=status,
    )


async def test_restored_log_continues_at_its_epoch_and_number(harness: EventLogHarness) -> None:
    await harness.log.restore(lost())
    assert await harness.log.read("resp_1") == list(lost().events)
    await harness.log.append("resp_1", epoch=3, events=events(4, 2))
    assert await numbers(harness.log) == list(range(6))
    assert await harness.log.claim("resp_1") == Claim(epoch=4, next_sequence=6)
    with pytest.raises(FencedError):
        await harness.log.append("resp_1", epoch=3, events=events(6))


@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.FAILED])
async def test_restored_log_of_any_length_is_whole(
    harness: EventLogHarness, status: Status
) -> None:
    long = replace(lost(count=1000, status=status), nonce="mine")
    await harness.log.restore(long)
    assert await harness.log.read("resp_1") == list(long.events)
    meta = await described(harness.log)
    assert (meta.status, meta.next_sequence) == (status, 1000)
    assert not meta.incomplete
    await harness.log.restore(long)
    assert await numbers(harness.log) == list(range(1000))


async def test_restored_log_describes_the_response(harness: EventLogHarness) -> None:
    await harness.log.restore(lost())
    meta = await described(harness.log)
    assert (meta.tenant_id, meta.connection_id, meta.relay_id) == ("t", "c1", "r1")
    assert meta.key_id == "key_1"
    assert (meta.status, meta.epoch, meta.next_sequence) == (Status.IN_PROGRESS, 3, 4)
    assert meta.job == NEW.job
    # Who asks again and again leaves out the job, and nothing else.
    brief = await harness.log.describe("resp_1", with_job=False)
    assert brief == replace(meta, job=b"")
    assert await harness.log.describe("resp_2", with_job=False) is None
    assert await harness.log.running_for("c1") == {"resp_1"}
    assert await harness.relays.undelivered("r1") == {"resp_1"}


async def test_restored_log_has_a_checkpoint_in_doubt(harness: EventLogHarness) -> None:
    await harness.log.restore(lost())
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(0, TailState.IN_DOUBT)


async def test_restored_log_takes_the_checkpoint_of_its_relay(harness: EventLogHarness) -> None:
    await harness.log.restore(lost())
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), relay_id="r1", connection_id="c1")
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(3)


async def test_restored_log_can_be_resumed(harness: EventLogHarness) -> None:
    await harness.log.restore(lost())
    resumption = await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=3)
    assert resumption is Resumption.RESUMED
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(3)


async def test_restore_changes_no_log_that_was_not_lost(harness: EventLogHarness) -> None:
    await open_and_claim(harness.log)
    before = await described(harness.log)
    await harness.log.restore(lost())
    assert await described(harness.log) == before
    assert await numbers(harness.log) == [0, 1]


async def test_restore_changes_no_ended_log(harness: EventLogHarness) -> None:
    await end(harness.log, await open_and_claim(harness.log))
    await harness.log.restore(lost())
    assert (await described(harness.log)).status is Status.COMPLETED


async def test_restore_brings_back_what_valkey_has_lost(harness: EventLogHarness) -> None:
    await end(harness.log, await open_and_claim(harness.log))
    harness.lose()
    assert await harness.log.describe("resp_1") is None
    assert await numbers(harness.log) == []
    await prepare(harness)
    await harness.log.restore(lost(count=2, epoch=1))
    await harness.log.append("resp_1", epoch=1, events=events(2))
    assert await numbers(harness.log) == [0, 1, 2]


async def test_restore_of_an_ended_response_leaves_it_ended(harness: EventLogHarness) -> None:
    await harness.log.restore(lost(status=Status.CANCELLED))
    meta = await described(harness.log)
    assert (meta.status, meta.job) == (Status.CANCELLED, b"")
    assert await harness.log.running_for("c1") == set()
    assert await harness.relays.undelivered("r1") == {"resp_1"}
    with pytest.raises(FencedError):
        await harness.log.claim("resp_1")


async def test_restore_needs_a_relay(harness: EventLogHarness) -> None:
    await harness.relays.end_lease("r1")
    with pytest.raises(UnavailableError):
        await harness.log.restore(lost())
    assert await harness.log.describe("resp_1") is None


async def test_restored_log_keeps_its_deadline(harness: EventLogHarness) -> None:
    await harness.log.restore(replace(lost(count=2), age_ms=10**9))
    assert await harness.log.overdue() == ["resp_1"]
    await harness.log.restore(replace(lost(), response_id="resp_2"))
    assert await harness.log.overdue() == ["resp_1"]


async def test_restored_log_is_abandoned_unless_it_is_delivered(make_harness: MakeHarness) -> None:
    async with make_harness(resume_window_s=0.3) as harness:
        await prepare(harness)
        for number in (1, 2, 3):
            await harness.log.restore(replace(lost(), response_id=f"resp_{number}"))
        await harness.log.restore(replace(lost(status=Status.FAILED), response_id="resp_4"))
        await harness.log.checkpoint(
            "resp_2", DeliveryCheckpoint(2), relay_id="r1", connection_id="c1"
        )
        await harness.log.resume("resp_3", tenant_id="t", connection_id="c2", first=2)
        assert await harness.log.abandoned() == []
        await harness.seconds(0.32)
        assert await harness.log.abandoned() == ["resp_1"]


async def test_lost_log_frees_its_idempotency_key(harness: EventLogHarness) -> None:
    keyed = replace(NEW, idempotency="key", fingerprint="one")
    await harness.log.open(keyed)
    harness.lose()
    await prepare(harness)
    again = await harness.log.open(replace(keyed, response_id="resp_2"))
    assert again.outcome is OpenResult.OPENED


async def test_restored_log_is_incomplete_until_its_writer_appends(
    harness: EventLogHarness,
) -> None:
    """The writer may die between the two, and the client may have what it would have appended."""
    await harness.log.restore(replace(lost(), complete=False))
    assert (await described(harness.log)).incomplete
    number = len(lost().events)
    epoch = lost().epoch
    await harness.log.append("resp_1", epoch=epoch, events=events(number), complete=False)
    assert (await described(harness.log)).incomplete
    await harness.log.append("resp_1", epoch=epoch, events=events(number + 1))
    assert not (await described(harness.log)).incomplete
