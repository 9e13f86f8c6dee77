"""Journal records: fenced and kept as events are, numbered by themselves, delivered to nobody."""

from dataclasses import replace

import pytest

from axon.event_log.log import Claim, JournalRecord, Resumption, Status, in_order
from axon.exceptions import AxonError, FencedError, MissingResponseError
from tests.contract.conftest import Bench, MakeBench
from tests.contract.event_log_samples import end, events, numbers, open_and_claim, prepare
from tests.contract.test_event_log_restore import lost

DATA = b'\x00\xff{"result":"w\xc3\xb6rld"}\n'


def records(first: int, count: int = 1, *, after: int = 1) -> list[JournalRecord]:
    return [
        JournalRecord(number=n, after=after, kind=f"kind-{n}", data=DATA + b"%d" % n)
        for n in range(first, first + count)
    ]


async def record(bench: Bench, claim: Claim, first: int, count: int = 1, *, after: int = 1) -> str:
    return await bench.log.append(
        "resp_1", epoch=claim.epoch, events=[], journal=records(first, count, after=after)
    )


async def test_journal_is_kept_and_delivered_to_nobody(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    bench.published()
    assert await record(bench, claim, 0, 2) == "c1"
    assert await bench.log.read_journal("resp_1") == records(0, 2)
    assert bench.published() == []
    assert await numbers(bench.log) == [0, 1]
    assert await bench.log.read("resp_1", after=1) == []


async def test_journal_takes_no_sequence_numbers(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    await record(bench, claim, 0, 3)
    await bench.log.append("resp_1", epoch=claim.epoch, events=events(2, 2))
    await record(bench, claim, 3, after=3)
    assert await numbers(bench.log) == [0, 1, 2, 3]
    assert [e.sequence_number for e in await bench.log.read("resp_1", limit=3)] == [0, 1, 2]
    entries = in_order(await bench.log.read("resp_1"), await bench.log.read_journal("resp_1"))
    assert entries == [*events(0, 2), *records(0, 3), *events(2, 2), *records(3, after=3)]


async def test_journal_goes_into_the_log_with_events_in_one_step(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    bench.published()
    for _ in range(2):
        await bench.log.append(
            "resp_1", epoch=claim.epoch, events=events(2), journal=records(0, 2, after=2)
        )
    assert await bench.log.read_journal("resp_1") == records(0, 2, after=2)
    assert await numbers(bench.log) == [0, 1, 2]
    assert len(bench.published()) == 1


async def test_journal_is_claimed_with_the_events(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    assert claim.next_record == 0
    await record(bench, claim, 0, 2)
    assert await bench.log.claim("resp_1") == Claim(epoch=2, next_sequence=2, next_record=2)


async def test_journal_repeats_are_harmless(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    for _ in range(2):
        await record(bench, claim, 0, 2)
    await record(bench, claim, 2)
    await record(bench, claim, 0, 2)
    assert await bench.log.read_journal("resp_1") == records(0, 3)


async def test_journal_of_an_older_epoch_is_fenced(bench: Bench) -> None:
    older = await open_and_claim(bench.log)
    await record(bench, older, 0)
    newer = await bench.log.claim("resp_1")
    with pytest.raises(FencedError):
        await record(bench, older, 1)
    await record(bench, newer, 1)
    assert await bench.log.read_journal("resp_1") == records(0, 2)


async def test_journal_is_closed_by_the_end(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    await record(bench, claim, 0)
    await end(bench.log, claim)
    await record(bench, claim, 0)  # the answer to the first one was lost
    with pytest.raises(FencedError):
        await record(bench, claim, 1, after=2)
    assert await bench.log.read_journal("resp_1") == records(0)


async def test_journal_with_a_gap_is_an_error(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    with pytest.raises(AxonError, match="gap"):
        await record(bench, claim, 1)
    with pytest.raises(AxonError, match="gap"):
        await bench.log.append(
            "resp_1", epoch=claim.epoch, events=events(2), journal=records(1, after=2)
        )
    assert await bench.log.read_journal("resp_1") == []
    assert await numbers(bench.log) == [0, 1]


async def test_journal_of_nothing(bench: Bench) -> None:
    with pytest.raises(MissingResponseError):
        await record(bench, Claim(epoch=1, next_sequence=2), 0)
    assert await bench.log.read_journal("resp_1") == []


async def test_journal_is_restored_with_the_events(bench: Bench) -> None:
    await open_and_claim(bench.log)
    bench.lose()
    await prepare(bench)
    assert await bench.log.read_journal("resp_1") == []
    await bench.log.restore(replace(lost(epoch=1), journal=records(0, 3)))
    assert await bench.log.read_journal("resp_1") == records(0, 3)
    assert await bench.log.read("resp_1") == list(lost(epoch=1).events)
    assert await bench.log.claim("resp_1") == Claim(epoch=2, next_sequence=4, next_record=3)


async def test_journal_does_not_change_what_a_client_resumes(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    await record(bench, claim, 0, 3)
    ahead = await bench.log.resume("resp_1", tenant_id="t", connection_id="c2", first=3)
    assert ahead is Resumption.AHEAD
    resumed = await bench.log.resume("resp_1", tenant_id="t", connection_id="c2", first=2)
    assert resumed is Resumption.RESUMED


async def test_journal_expires_with_the_events(make_bench: MakeBench) -> None:
    async with make_bench(retention_s=1) as bench:
        await prepare(bench)
        claim = await open_and_claim(bench.log)
        await record(bench, claim, 0)
        await end(bench.log, claim)
        assert await bench.log.read_journal("resp_1") == records(0)
        await bench.seconds(1.1)
        assert await bench.log.read_journal("resp_1") == []
        assert await numbers(bench.log) == []


async def test_journal_of_a_log_that_never_ends_is_no_leak(
    make_bench: MakeBench,
) -> None:
    async with make_bench(deadline_s=1, retention_s=1) as bench:
        await prepare(bench)
        await record(bench, await open_and_claim(bench.log), 0)
        assert await bench.log.read_journal("resp_1") == records(0)
        await bench.seconds(2.1)
        assert await bench.log.read_journal("resp_1") == []


async def test_journal_does_not_count_for_the_terminal_status(bench: Bench) -> None:
    claim = await open_and_claim(bench.log)
    await bench.log.append(
        "resp_1", epoch=claim.epoch, events=[], status=Status.COMPLETED, journal=records(0)
    )
    meta = await bench.log.describe("resp_1")
    assert meta is not None
    assert meta.status is Status.IN_PROGRESS
