"""Journal records: fenced and kept as events are, numbered by themselves, delivered to nobody."""

from dataclasses import replace

import pytest

from axon.deadlines import Deadlines
from axon.event_log.journal import in_order
from axon.event_log.log import Claim, JournalRecord, Status
from axon.event_log.openings import Resumption
from axon.exceptions import AxonError, FencedError, MissingResponseError
from tests.contract.axon.event_log.event_log_samples import (
    end,
    events,
    numbers,
    open_and_claim,
    prepare,
)
from tests.contract.axon.event_log.test_log_restore import lost
from tests.contract.conftest import EventLogHarness, MakeHarness

DATA = b'\x00\xff{"result":"w\xc3\xb6rld"}\n'

SHORT = Deadlines(no_worker_s=0.3, queue_s=0.3, no_progress_s=0.3)


def records(first: int, count: int = 1, *, after: int = 1) -> list[JournalRecord]:
    return [
        JournalRecord(number=n, after=after, kind=f"kind-{n}", data=DATA + b"%d" % n)
        for n in range(first, first + count)
    ]


async def record(
    harness: EventLogHarness, claim: Claim, first: int, count: int = 1, *, after: int = 1
) -> str:
    return await harness.log.append(
        "resp_1", epoch=claim.epoch, events=[], journal=records(first, count, after=after)
    )


async def test_journal_is_kept_and_delivered_to_nobody(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    harness.published()
    assert await record(harness, claim, 0, 2) == "c1"
    assert await harness.log.read_journal("resp_1") == records(0, 2)
    assert harness.published() == []
    assert await numbers(harness.log) == [0, 1]
    assert await harness.log.read("resp_1", after=1) == []


async def test_journal_takes_no_sequence_numbers(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    await record(harness, claim, 0, 3)
    await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 2))
    await record(harness, claim, 3, after=3)
    assert await numbers(harness.log) == [0, 1, 2, 3]
    assert [e.sequence_number for e in await harness.log.read("resp_1", limit=3)] == [0, 1, 2]
    entries = in_order(await harness.log.read("resp_1"), await harness.log.read_journal("resp_1"))
    assert entries == [*events(0, 2), *records(0, 3), *events(2, 2), *records(3, after=3)]


async def test_journal_goes_into_the_log_with_events_in_one_step(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    harness.published()
    for _ in range(2):
        await harness.log.append(
            "resp_1", epoch=claim.epoch, events=events(2), journal=records(0, 2, after=2)
        )
    assert await harness.log.read_journal("resp_1") == records(0, 2, after=2)
    assert await numbers(harness.log) == [0, 1, 2]
    assert len(harness.published()) == 1


async def test_journal_is_claimed_with_the_events(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    assert claim.next_record == 0
    await record(harness, claim, 0, 2)
    assert await harness.log.claim("resp_1") == Claim(epoch=2, next_sequence=2, next_record=2)


async def test_journal_repeats_are_harmless(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    for _ in range(2):
        await record(harness, claim, 0, 2)
    await record(harness, claim, 2)
    await record(harness, claim, 0, 2)
    assert await harness.log.read_journal("resp_1") == records(0, 3)


@pytest.mark.parametrize("with_event", [False, True])
async def test_journal_repeats_with_other_content_are_fenced(
    harness: EventLogHarness, with_event: bool
) -> None:
    """After a loss an attempt of the version before may have the same epoch and no nonce."""
    claim = await open_and_claim(harness.log)
    appended = events(2) if with_event else []
    held = records(0, 2)

    async def append(*journal: JournalRecord) -> None:
        await harness.log.append(
            "resp_1", epoch=claim.epoch, events=appended, journal=journal or held
        )

    await append()
    for change in ({"data": b"other"}, {"kind": "other"}, {"after": 0}):
        with pytest.raises(FencedError):
            await append(held[0], replace(held[1], **change))
    await append()
    assert await harness.log.read_journal("resp_1") == held


async def test_journal_of_an_older_epoch_is_fenced(harness: EventLogHarness) -> None:
    older = await open_and_claim(harness.log)
    await record(harness, older, 0)
    newer = await harness.log.claim("resp_1")
    with pytest.raises(FencedError):
        await record(harness, older, 1)
    await record(harness, newer, 1)
    assert await harness.log.read_journal("resp_1") == records(0, 2)


async def test_journal_is_closed_by_the_end(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    await record(harness, claim, 0)
    await end(harness.log, claim)
    await record(harness, claim, 0)  # the answer to the first one was lost
    with pytest.raises(FencedError):
        await record(harness, claim, 1, after=2)
    assert await harness.log.read_journal("resp_1") == records(0)


async def test_journal_with_a_gap_is_an_error(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    with pytest.raises(AxonError, match="gap"):
        await record(harness, claim, 1)
    with pytest.raises(AxonError, match="gap"):
        await harness.log.append(
            "resp_1", epoch=claim.epoch, events=events(2), journal=records(1, after=2)
        )
    assert await harness.log.read_journal("resp_1") == []
    assert await numbers(harness.log) == [0, 1]


async def test_journal_of_a_missing_log_is_an_error(harness: EventLogHarness) -> None:
    with pytest.raises(MissingResponseError):
        await record(harness, Claim(epoch=1, next_sequence=2), 0)
    assert await harness.log.read_journal("resp_1") == []


async def test_journal_is_restored_with_the_events(harness: EventLogHarness) -> None:
    await open_and_claim(harness.log)
    harness.lose()
    await prepare(harness)
    assert await harness.log.read_journal("resp_1") == []
    await harness.log.restore(replace(lost(epoch=1), journal=records(0, 3)))
    assert await harness.log.read_journal("resp_1") == records(0, 3)
    assert await harness.log.read("resp_1") == list(lost(epoch=1).events)
    assert await harness.log.claim("resp_1") == Claim(epoch=2, next_sequence=4, next_record=3)


async def test_journal_does_not_change_what_a_client_resumes(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    await record(harness, claim, 0, 3)
    ahead = await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=3)
    assert ahead is Resumption.AHEAD
    resumed = await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=2)
    assert resumed is Resumption.RESUMED


async def test_journal_expires_with_the_events(make_harness: MakeHarness) -> None:
    async with make_harness(retention_s=1) as harness:
        await prepare(harness)
        claim = await open_and_claim(harness.log)
        await record(harness, claim, 0)
        await end(harness.log, claim)
        assert await harness.log.read_journal("resp_1") == records(0)
        await harness.seconds(1.1)
        assert await harness.log.read_journal("resp_1") == []
        assert await numbers(harness.log) == []


async def test_journal_of_a_log_that_never_ends_is_no_leak(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(deadlines=SHORT, retention_s=1) as harness:
        await prepare(harness)
        await record(harness, await open_and_claim(harness.log), 0)
        assert await harness.log.read_journal("resp_1") == records(0)
        await harness.seconds(2.1)
        assert await harness.log.read_journal("resp_1") == []


async def test_journal_does_not_count_for_the_terminal_status(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log)
    await harness.log.append(
        "resp_1", epoch=claim.epoch, events=[], status=Status.COMPLETED, journal=records(0)
    )
    meta = await harness.log.describe("resp_1")
    assert meta is not None
    assert meta.status is Status.IN_PROGRESS
