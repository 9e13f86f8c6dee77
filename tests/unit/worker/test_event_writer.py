"""An attempt's side of the event log: what it records, and what the next attempt gets of it."""

import asyncio

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import JournalRecord, LoggedEvent, Status
from axon.event_log.openings import NewResponse, OpenResult
from axon.exceptions import FencedError, MissingResponseError
from axon.jobs import Job
from axon.protocol.transcript import Transcript
from axon.retry import RetryPolicy
from axon.testing.event_log import FakeValkey
from tests.support.eventually import eventually
from tests.support.virtual_time import run
from tests.unit.axon.samples import MODEL, a_job
from worker.claimers import DuplicateError
from worker.event_writer import EventWriter

NEVER_MS = 1 << 60


class EventWriterHarness:
    """A response that is open, and attempts at it: each writer is another attempt's."""

    def __init__(self) -> None:
        self.log = FakeValkey()
        self.job: Job = a_job()

    async def open(self) -> None:
        await self.log.directory.register((MODEL,), retention_s=600)
        await self.log.heartbeat("relay", lease_s=600)
        opening = await self.log.open(
            NewResponse(
                response_id=self.job.response_id,
                tenant_id=self.job.tenant_id,
                connection_id=self.job.connection_id,
                model=MODEL,
                job=self.job.encode(),
                created=self.job.transcript().created().data,
            )
        )
        assert opening.outcome is OpenResult.OPENED

    async def lose(self) -> None:
        """Delete all data of Valkey; the relay and the workers announce themselves again."""
        self.log.lose()
        await self.log.heartbeat("relay", lease_s=600)

    async def rewind(self, snapshot: object) -> None:
        """Lose what was written since the snapshot; the relay announces itself again."""
        self.log.rewind(snapshot)
        await self.log.heartbeat("relay", lease_s=600)

    async def confirm(self, received: int) -> None:
        """Write a checkpoint, as the relay does after a failover."""
        meta = await self.log.describe(self.job.response_id)
        assert meta is not None
        await self.log.checkpoint(
            self.job.response_id,
            DeliveryCheckpoint(received),
            relay_id=meta.relay_id,
            connection_id=meta.connection_id,
        )

    async def logged(self) -> list[LoggedEvent]:
        return await self.log.read(self.job.response_id)

    def writer(self, message_id: str = "message-1") -> EventWriter:
        return EventWriter(
            job=self.job,
            message_id=message_id,
            log=self.log,
            forgotten_s=1e9,
            retry=RetryPolicy(stop=asyncio.Event()),
            clock_ms=lambda: self.job.created_ms,
        )


@pytest.fixture
async def harness() -> EventWriterHarness:
    made = EventWriterHarness()
    await made.open()
    return made


async def test_event_writer_gets_the_records_of_an_attempt_that_died(
    harness: EventWriterHarness,
) -> None:
    first = harness.writer()
    transcript = await first.claim(untouched=True)
    await first.record("retrieved", b"turns")
    await first.append(transcript.delta("one ", [1]))
    await first.record("tool", b"result")

    second = harness.writer()
    transcript = await second.claim(untouched=False)
    assert transcript.text == "one "
    assert second.journal == [
        JournalRecord(number=0, after=1, kind="retrieved", data=b"turns"),
        JournalRecord(number=1, after=4, kind="tool", data=b"result"),
    ]
    await second.record("tool", b"another")
    assert [record.number for record in second.journal] == [0, 1, 2]
    assert await harness.log.read_journal(harness.job.response_id) == second.journal


async def test_event_writer_gets_records_of_an_attempt_that_appended_no_event(
    harness: EventWriterHarness,
) -> None:
    first = harness.writer()
    await first.claim(untouched=True)
    await first.record("retrieved", b"turns")
    second = harness.writer()
    transcript = await second.claim(untouched=False)
    assert transcript.next_sequence == 2
    assert [record.data for record in second.journal] == [b"turns"]


async def test_event_writer_restores_its_records_when_valkey_has_lost_the_log(
    harness: EventWriterHarness,
) -> None:
    writer = harness.writer()
    await writer.claim(untouched=True)
    await writer.record("retrieved", b"turns")
    await harness.lose()
    await writer.record("tool", b"result")
    journal = await harness.log.read_journal(harness.job.response_id)
    assert [record.data for record in journal] == [b"turns", b"result"]
    assert len(await harness.log.read(harness.job.response_id)) == 2


async def test_event_writer_is_fenced_from_recording_by_a_newer_attempt(
    harness: EventWriterHarness,
) -> None:
    first, second = harness.writer(), harness.writer()
    await first.claim(untouched=True)
    await second.claim(untouched=False)
    with pytest.raises(FencedError):
        await first.record("tool", b"result")
    assert first.journal == []
    assert await harness.log.read_journal(harness.job.response_id) == []


async def test_event_writer_tells_no_client_of_a_record(harness: EventWriterHarness) -> None:
    writer = harness.writer()
    await writer.claim(untouched=True)
    published = len(harness.log.published)
    await writer.record("tool", b"result")
    assert len(harness.log.published) == published


async def written(writer: EventWriter, transcript: Transcript, words: int) -> list[LoggedEvent]:
    """Append words, each in an append of its own; return their events."""
    events: list[LoggedEvent] = []
    for number in range(words):
        new = transcript.delta(f"{number} ", [number])
        await writer.append(new)
        events += new
    return events


@pytest.mark.parametrize("lost", [1, 3, 5])
async def test_event_writer_appends_again_what_a_failover_has_lost(
    harness: EventWriterHarness, lost: int
) -> None:
    writer = harness.writer()
    transcript = await writer.claim(untouched=True)
    await writer.record("retrieved", b"turns")
    await written(writer, transcript, 5 - lost)
    before = harness.log.snapshot()
    await written(writer, transcript, lost)
    await writer.record("tool", b"result")
    events = await harness.logged()
    await harness.rewind(before)
    events += await written(writer, transcript, 1)
    assert await harness.logged() == events
    journal = await harness.log.read_journal(harness.job.response_id)
    assert [record.data for record in journal] == [b"turns", b"result"]


async def test_event_writer_takes_its_lost_claim_again(harness: EventWriterHarness) -> None:
    before = harness.log.snapshot()
    writer = harness.writer()
    transcript = await writer.claim(untouched=True)
    await written(writer, transcript, 2)
    await harness.rewind(before)
    await written(writer, transcript, 1)
    assert [event.sequence_number for event in await harness.logged()] == list(range(7))
    meta = await harness.log.describe(harness.job.response_id)
    assert meta is not None
    assert (meta.epoch, meta.message_id) == (1, "message-1")


async def test_event_writer_ends_a_response_whose_newest_events_are_lost(
    harness: EventWriterHarness,
) -> None:
    writer = harness.writer()
    transcript = await writer.claim(untouched=True)
    before = harness.log.snapshot()
    await written(writer, transcript, 3)
    events = await harness.logged()
    closing = [*transcript.close_message(), transcript.end(Status.COMPLETED)]
    await harness.rewind(before)
    await writer.append(closing, status=Status.COMPLETED)
    assert await harness.logged() == [*events, *closing]


async def test_event_writer_is_fenced_by_a_claim_of_the_same_epoch_after_a_failover(
    harness: EventWriterHarness,
) -> None:
    before = harness.log.snapshot()
    first = harness.writer()
    transcript = await first.claim(untouched=True)
    await written(first, transcript, 2)
    await harness.rewind(before)
    await harness.confirm(1)
    second = harness.writer()
    await second.claim(untouched=True)
    assert first.epoch == second.epoch
    with pytest.raises(FencedError):
        await written(first, transcript, 1)
    assert len(await harness.logged()) == 2


async def test_event_writer_continues_a_dead_ones_answer_that_the_relay_says_is_complete(
    harness: EventWriterHarness,
) -> None:
    first = harness.writer()
    transcript = await first.claim(untouched=True)
    await written(first, transcript, 2)
    await harness.rewind(harness.log.snapshot())
    await harness.confirm(len(await harness.logged()))
    second = harness.writer()
    assert (await second.claim(untouched=False)).text == "0 1 "


async def test_event_writer_waits_for_the_relay_to_confirm(harness: EventWriterHarness) -> None:
    first = harness.writer()
    transcript = await first.claim(untouched=True)
    await written(first, transcript, 2)
    await harness.rewind(harness.log.snapshot())
    second = harness.writer()
    claiming = asyncio.create_task(second.claim(untouched=False))
    await eventually(lambda: second.epoch == 2)
    assert not claiming.done()
    await harness.confirm(3)
    assert (await claiming).text == "0 1 "


async def test_event_writer_refuses_to_continue_from_less_than_the_client_has(
    harness: EventWriterHarness,
) -> None:
    first = harness.writer()
    transcript = await first.claim(untouched=True)
    before = harness.log.snapshot()
    events = await written(first, transcript, 2)
    await harness.rewind(before)
    await harness.confirm(2 + len(events))
    second = harness.writer()
    with pytest.raises(MissingResponseError):
        await second.claim(untouched=False)
    failed = await harness.writer().fail_lost(harness.job.transcript(), {"code": "server_error"})
    assert failed is not None
    assert failed.sequence_number == 2 + len(events)
    assert (await harness.logged())[-1] == failed


def test_event_writer_refuses_to_continue_while_nobody_confirms() -> None:
    run(_refuse_unconfirmed(EventWriterHarness()))


async def _refuse_unconfirmed(harness: EventWriterHarness) -> None:
    await harness.open()
    first = harness.writer()
    transcript = await first.claim(untouched=True)
    await written(first, transcript, 2)
    await harness.rewind(harness.log.snapshot())
    logged = len(await harness.logged())
    second = harness.writer()
    with pytest.raises(MissingResponseError):
        await second.claim(untouched=False)
    failed = await harness.writer().fail_lost(harness.job.transcript(), {"code": "server_error"})
    assert failed is not None
    assert failed.sequence_number == logged


async def test_event_writer_leaves_a_response_that_is_claimed_while_it_waits(
    harness: EventWriterHarness,
) -> None:
    first = harness.writer()
    await written(first, await first.claim(untouched=True), 2)
    await harness.rewind(harness.log.snapshot())
    second, third = harness.writer(), harness.writer("message-2")
    claiming = asyncio.create_task(second.claim(untouched=False))
    await eventually(lambda: second.epoch == 2)
    successor = asyncio.create_task(third.claim(untouched=False))
    await eventually(lambda: third.epoch == 3)
    with pytest.raises(DuplicateError):
        await claiming
    await harness.confirm(3)
    assert (await successor).text == "0 1 "


async def test_event_writer_begins_a_new_job_as_soon_as_the_relay_confirms(
    harness: EventWriterHarness,
) -> None:
    await harness.rewind(harness.log.snapshot())
    await harness.confirm(1)
    async with asyncio.timeout(1):
        assert (await harness.writer().claim(untouched=True)).next_sequence == 2


@pytest.mark.parametrize("lost_first", ["claim", "append"])
async def test_event_writer_restores_a_log_that_is_lost_while_it_is_repaired(
    harness: EventWriterHarness, monkeypatch: pytest.MonkeyPatch, lost_first: str
) -> None:
    before = harness.log.snapshot()
    writer = harness.writer()
    transcript = await writer.claim(untouched=True)
    if lost_first == "append":
        before = harness.log.snapshot()
    await written(writer, transcript, 2)
    events = await harness.logged()
    await harness.rewind(before)
    calls = 0
    repair = getattr(harness.log, "reclaim" if lost_first == "claim" else "append")

    async def lose_and_repair(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        # The append that finds the gap comes before the one that repairs it.
        if calls == (1 if lost_first == "claim" else 2):
            await harness.lose()
        return await repair(*arguments, **options)

    monkeypatch.setattr(harness.log, repair.__name__, lose_and_repair)
    events += await written(writer, transcript, 1)
    assert await harness.logged() == events
