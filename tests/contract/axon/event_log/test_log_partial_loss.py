"""Failovers that lose only the newest writes: what the log answers to those who know more."""

from dataclasses import replace
from typing import TypedDict

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Claim, JournalRecord, LostResponse, Status
from axon.event_log.openings import Resumption
from axon.event_log.publication import Publication
from axon.exceptions import FencedError, GapError, LostClaimError, LostEventsError, MovedError
from tests.contract.axon.event_log.event_log_samples import (
    NEW,
    described,
    end,
    events,
    numbers,
    open_and_claim,
    prepare,
)
from tests.contract.conftest import EventLogHarness


class Deliverer(TypedDict):
    relay_id: str
    connection_id: str


C1 = Deliverer(relay_id="r1", connection_id="c1")


async def append(
    harness: EventLogHarness,
    claim: Claim,
    first: int,
    count: int = 1,
    *,
    status: Status = Status.IN_PROGRESS,
    data: bytes = b"",
) -> None:
    made = events(first, count)
    if data:
        made = [replace(event, data=data) for event in made]
    await harness.log.append(
        "resp_1",
        epoch=claim.epoch,
        events=made,
        status=status,
        nonce=claim.nonce,
        predecessor=claim.predecessor,
    )


@pytest.mark.parametrize("lost", range(4))
async def test_log_tells_its_holder_which_appends_it_has_lost(
    harness: EventLogHarness, lost: int
) -> None:
    claim = await open_and_claim(harness.log)
    snapshots = []
    for number in range(2, 7):
        snapshots.append(harness.snapshot())
        await append(harness, claim, number)
    snapshots.append(harness.snapshot())
    harness.rewind(snapshots[-1 - lost])
    if lost:
        with pytest.raises(GapError) as gap:
            await append(harness, claim, 7)
        assert (gap.value.next_sequence, gap.value.next_record) == (7 - lost, 0)
        await append(harness, claim, 7 - lost, lost)
    await append(harness, claim, 7)
    assert await harness.log.read("resp_1") == [
        *events(0, 2), *events(2, 6),
    ]  # fmt: skip
    assert not (await described(harness.log)).incomplete


async def test_log_tells_of_lost_journal_records(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    before = harness.snapshot()
    records = [JournalRecord(number=n, after=1, kind="tool", data=b"%d" % n) for n in range(2)]
    for record in records:
        await harness.log.append("resp_1", epoch=claim.epoch, events=[], journal=[record])
    harness.rewind(before)
    with pytest.raises(GapError) as gap:
        await harness.log.append(
            "resp_1", epoch=claim.epoch, events=events(2), journal=[replace(records[0], number=2)]
        )
    assert (gap.value.next_sequence, gap.value.next_record) == (2, 0)
    await harness.log.append("resp_1", epoch=claim.epoch, events=[], journal=records)
    assert await harness.log.read_journal("resp_1") == records


async def test_log_takes_no_record_behind_an_event_that_it_has_lost(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    before = harness.snapshot()
    await append(harness, claim, 2)
    harness.rewind(before)
    record = JournalRecord(number=0, after=2, kind="tool", data=b"result")
    with pytest.raises(GapError) as gap:
        await harness.log.append("resp_1", epoch=claim.epoch, events=[], journal=[record])
    assert (gap.value.next_sequence, gap.value.next_record) == (2, 0)


async def test_lost_claim_can_be_taken_again_by_its_holder(harness: EventLogHarness) -> None:
    await open_and_claim(harness.log)
    before = harness.snapshot()
    claim = await harness.log.claim("resp_1", message_id="m2")
    await append(harness, claim, 2)
    harness.rewind(before)
    with pytest.raises(LostClaimError):
        await append(harness, claim, 3)
    for _ in range(2):
        await harness.log.reclaim("resp_1", claim, message_id="m2")
    meta = await described(harness.log)
    assert (meta.epoch, meta.nonce, meta.message_id) == (2, claim.nonce, "m2")
    await append(harness, claim, 2, 2)
    assert await numbers(harness.log) == [0, 1, 2, 3]


async def test_lost_claim_is_fenced_once_the_attempt_before_has_appended(
    harness: EventLogHarness,
) -> None:
    first = await open_and_claim(harness.log)
    before = harness.snapshot()
    second = await harness.log.claim("resp_1")
    await append(harness, second, 2, data=b"second")
    harness.rewind(before)
    await append(harness, first, 2, data=b"first")  # it does not know that it was fenced
    with pytest.raises(LostClaimError):
        await append(harness, second, 3, data=b"second")
    with pytest.raises(FencedError):
        await harness.log.reclaim("resp_1", second)


async def test_lost_first_claim_can_be_taken_again(harness: EventLogHarness) -> None:
    assert (await harness.log.open(NEW)).first_id == ""
    before = harness.snapshot()
    claim = await harness.log.claim("resp_1", in_progress=events(1)[0].data)
    harness.rewind(before)
    with pytest.raises(LostClaimError):
        await append(harness, claim, 2)
    await harness.log.reclaim("resp_1", claim)
    with pytest.raises(GapError):
        await append(harness, claim, 2)
    await append(harness, claim, 1, 2)
    assert await numbers(harness.log) == [0, 1, 2]


async def test_epoch_that_is_used_again_after_a_loss_is_no_key_to_the_log(
    harness: EventLogHarness,
) -> None:
    await open_and_claim(harness.log)
    before = harness.snapshot()
    old = await harness.log.claim("resp_1")
    harness.rewind(before)
    new = await harness.log.claim("resp_1")
    assert (old.epoch, new.epoch) == (2, 2)
    with pytest.raises(FencedError) as fenced:
        await append(harness, old, 2, data=b"old")
    assert not isinstance(fenced.value, LostClaimError)
    with pytest.raises(FencedError):
        await harness.log.reclaim("resp_1", old)
    await append(harness, new, 2, data=b"new")
    with pytest.raises(FencedError):
        await append(harness, old, 2, data=b"old")
    assert (await harness.log.read("resp_1"))[-1].data == b"new"


async def test_later_claim_is_not_undone_by_one_of_two_lost_ones(
    harness: EventLogHarness,
) -> None:
    await open_and_claim(harness.log)
    before = harness.snapshot()
    await harness.log.claim("resp_1")
    second = await harness.log.claim("resp_1")  # epoch 3
    harness.rewind(before)
    await harness.log.claim("resp_1")  # epoch 2, and the latest
    with pytest.raises(FencedError):
        await harness.log.reclaim("resp_1", second)


async def test_repeated_append_of_other_bytes_is_refused(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    await append(harness, claim, 2, data=b"one")
    await append(harness, claim, 2, data=b"one")
    with pytest.raises(FencedError):
        await append(harness, claim, 2, data=b"two")
    await append(harness, claim, 3, data=b"end", status=Status.COMPLETED)
    await append(harness, claim, 3, data=b"end", status=Status.COMPLETED)
    with pytest.raises(FencedError):
        await append(harness, claim, 3, data=b"END", status=Status.COMPLETED)


async def test_checkpoint_is_in_doubt_after_a_loss_until_it_is_written_again(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(2), **C1)
    before = harness.snapshot()
    await append(harness, claim, 2)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    harness.rewind(before)
    await harness.relays.heartbeat("r1", lease_s=600)
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(2, TailState.IN_DOUBT)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3, TailState.IN_DOUBT), **C1)
    assert not (await described(harness.log)).checkpoint.certain
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(3)


async def test_takeover_after_a_loss_finds_every_checkpoint_in_doubt(
    harness: EventLogHarness,
) -> None:
    await open_and_claim(harness.log)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(2), **C1)
    harness.rewind(harness.snapshot())
    await harness.relays.end_lease("r1")
    await harness.relays.heartbeat("r2", lease_s=600)
    taken_over = await harness.other_relays.take_over("r1", successor_id="r2")
    assert [each.checkpoint.certain for each in taken_over] == [False]


async def test_log_grants_nothing_after_a_loss_until_the_relay_has_confirmed(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(2), **C1)
    harness.rewind(harness.snapshot())
    harness.published()
    await append(harness, claim, 2)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    await append(harness, claim, 3)
    granted = {Publication.decode(data).granted for _, data in harness.published()[:1]}
    assert granted == {False}
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(3, TailState.GRANTED)


async def test_claim_is_sure_once_the_relay_confirms_that_the_log_is_complete(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    await append(harness, claim, 2)
    harness.rewind(harness.snapshot())
    assert (await harness.log.claim("resp_1")).unsure
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    second = await harness.log.claim("resp_1")
    assert not second.unsure
    await append(harness, second, 3)
    assert not (await described(harness.log)).incomplete
    assert not (await harness.log.claim("resp_1")).unsure


async def test_claim_is_unsure_while_the_client_has_more_than_the_log(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    before = harness.snapshot()
    await append(harness, claim, 2)
    harness.rewind(before)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    assert (await harness.log.claim("resp_1")).unsure


async def test_relay_that_is_ahead_of_a_fork_is_stopped(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    before = harness.snapshot()
    await append(harness, claim, 2)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    harness.rewind(before)
    assert (await harness.log.claim("resp_1")).unsure  # continues at 2, or ends there
    for tail in (TailState.IN_DOUBT, TailState.NONE):
        with pytest.raises(LostEventsError):
            await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3, tail), **C1)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(2), **C1)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    assert len((await described(harness.log)).forks.split()) == 1


@pytest.mark.parametrize("loss", ["claim", "log"])
@pytest.mark.parametrize("connection_id", ["c1", ""])
async def test_fork_of_a_claim_outlives_another_failover(
    harness: EventLogHarness, connection_id: str, loss: str
) -> None:
    """A reader of the former attempt's event 2 must not go on behind the newer one's."""
    empty = harness.snapshot()
    first = await open_and_claim(harness.log, new=replace(NEW, connection_id=connection_id))
    before = harness.snapshot()
    await append(harness, first, 2, data=b"first")
    harness.rewind(before)
    before = harness.snapshot()
    second = await harness.log.claim("resp_1", message_id="m2")
    forks = (await described(harness.log)).forks
    assert forks.startswith(" 2:")
    if loss == "claim":
        harness.rewind(before)
        await harness.log.reclaim("resp_1", second, message_id="m2")
    else:
        harness.rewind(empty)
        await prepare(harness)
        lost = LostResponse(
            response_id="resp_1",
            tenant_id="t",
            connection_id=connection_id,
            job=b"{}",
            age_ms=0,
            epoch=second.epoch,
            events=events(0, 2),
            status=Status.IN_PROGRESS,
            nonce=second.nonce,
            forks=second.forks,
        )
        await harness.log.restore(lost)
    await append(harness, second, 2, 2, data=b"second")
    assert (await described(harness.log)).forks == forks
    if connection_id:
        with pytest.raises(LostEventsError):
            await harness.log.checkpoint("resp_1", DeliveryCheckpoint(3), **C1)
    else:
        resumed = await harness.log.resume("resp_1", tenant_id="t", connection_id="c1", first=3)
        assert resumed is Resumption.FORKED


async def test_failure_takes_the_number_that_the_client_expects_next(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log)
    before = harness.snapshot()
    await append(harness, claim, 2, 3)
    harness.rewind(before)
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(5), **C1)
    second = await harness.log.claim("resp_1")
    with pytest.raises(GapError):
        await append(harness, second, 5)
    with pytest.raises(GapError):
        await append(harness, second, 4, status=Status.FAILED)
    await append(harness, second, 5, status=Status.FAILED)
    assert await numbers(harness.log) == [0, 1, 5]
    assert (await described(harness.log)).next_sequence == 6


@pytest.mark.parametrize("first", [2, 3, 5])
async def test_resume_after_a_loss_takes_the_word_of_the_client(
    harness: EventLogHarness, first: int
) -> None:
    claim = await open_and_claim(harness.log)
    before = harness.snapshot()
    await append(harness, claim, 2, 3)
    harness.rewind(before)
    resumption = await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=first)
    assert resumption is Resumption.RESUMED
    assert (await described(harness.log)).checkpoint == DeliveryCheckpoint(first)
    await append(harness, claim, 2, 3)
    again = await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=6)
    assert again is Resumption.AHEAD


async def test_resume_of_an_ended_response_is_not_ahead_of_it_after_a_loss(
    harness: EventLogHarness,
) -> None:
    await end(harness.log, await open_and_claim(harness.log))
    harness.rewind(harness.snapshot())
    resumption = await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=3)
    assert resumption is Resumption.AHEAD


async def test_moved_delivery_is_undone_by_a_loss_and_refused(harness: EventLogHarness) -> None:
    await open_and_claim(harness.log)
    before = harness.snapshot()
    await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=1)
    relay_id = (await described(harness.log)).relay_id
    harness.rewind(before)
    with pytest.raises(MovedError):
        await harness.log.checkpoint(
            "resp_1", DeliveryCheckpoint(1), relay_id=relay_id, connection_id="c2"
        )
