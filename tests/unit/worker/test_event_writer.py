"""An attempt's side of the event log: what it records, and what the next attempt gets of it."""

import asyncio

import pytest

from axon.event_log.log import JournalRecord, NewResponse, OpenResult
from axon.exceptions import FencedError
from axon.jobs import Job
from axon.retry import RetryPolicy
from axon.testing.event_log import FakeValkey
from tests.unit.axon.samples import MODEL, a_job
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

    def writer(self, message_id: str = "message-1") -> EventWriter:
        return EventWriter(
            job=self.job,
            message_id=message_id,
            log=self.log,
            deadline_ms=NEVER_MS,
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
