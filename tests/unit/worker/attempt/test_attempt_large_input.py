"""Attempts at jobs whose input waits in the payload store, and the turns and records of these."""

import asyncio

import pytest

from axon.event_log.log import Status
from axon.exceptions import LostPayloadError
from axon.formats import UnreadableError
from axon.history import HistoryRecord
from axon.inputs import LargeInputs
from axon.jobs import Job
from axon.large_records import ENDS_S, LargeRecords
from axon.testing.payloads import FakePayloadStore
from axon.testing.stores import FakeHistory
from tests.support.eventually import eventually
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.endings import INPUT_LOST

WORDS = 25
LARGE = ("w" * 4_000 + " ") * WORDS


class LargeInputHarness(AttemptHarness):
    """A harness with a payload store, and with a database that records are written to."""

    def __init__(self) -> None:
        self.payloads = FakePayloadStore()
        super().__init__(payloads=self.payloads)
        self.rows = FakeHistory()
        self.records = self.large_records()

    def large_records(self, *, ends_s: float = ENDS_S) -> LargeRecords:
        inputs = LargeInputs(store=self.payloads)
        return LargeRecords(store=self.rows, inputs=inputs, log=self.valkey, ends_s=ends_s)

    def record(self, response_id: str) -> HistoryRecord:
        """Return a record as it comes out of the queue."""
        return HistoryRecord.decode(self.history.records[response_id].encode())


@pytest.fixture
async def harness() -> LargeInputHarness:
    harness = LargeInputHarness()
    await harness.begin()
    return harness


async def test_attempt_answers_large_input_and_continues_it(harness: LargeInputHarness) -> None:
    job = await harness.job(input=LARGE)
    context = harness.context(ScriptedEngine(["a"]))
    assert await attempt(job, context) is Status.COMPLETED
    end = (await harness.answered(job))[-1]["response"]
    assert end["usage"]["input_tokens"] >= WORDS

    following = await harness.job(previous_response_id=job.response_id, input="and?")
    assert following.input_payload is None
    assert await attempt(following, context) is Status.COMPLETED
    end = (await harness.answered(following))[-1]["response"]
    assert end["usage"]["input_tokens"] >= WORDS


async def test_attempt_fails_a_response_whose_input_is_gone(harness: LargeInputHarness) -> None:
    job = await harness.job(input=LARGE)
    harness.payloads.content.clear()
    assert await attempt(job, harness.context(ScriptedEngine(["a"]))) is Status.FAILED
    error = (await harness.answered(job))[-1]["response"]["error"]
    assert error["message"] == INPUT_LOST
    assert harness.metric("axon_inputs_lost_total") == 1


async def test_large_record_brings_its_input_and_deletes_it(harness: LargeInputHarness) -> None:
    job = await harness.job(input=LARGE)
    context = harness.context(ScriptedEngine(["a"]))
    await attempt(job, context)
    record = harness.record(job.response_id)
    assert record.input == []
    await harness.records.write(record)
    assert harness.rows.records[job.response_id].input[0]["content"] == LARGE
    assert harness.payloads.content == {}
    # A repeated delivery finds its row, and so does a later record: they keep its input.
    await harness.records.write(record)
    await harness.records.write(record.model_copy(update={"version": record.version + 1}))
    assert harness.rows.records[job.response_id].version == record.version + 1
    assert harness.rows.records[job.response_id].input[0]["content"] == LARGE

    # A cached turn still refers to the payload. The next turn finds its input in the database.
    stored = harness.turns.turns[job.response_id].model_copy(
        update={"input_payload": None, "input": harness.rows.records[job.response_id].input}
    )
    following = await harness.job(previous_response_id=job.response_id, input="and?")
    harness.database.turns[job.response_id] = stored
    assert await attempt(following, context) is Status.COMPLETED
    end = (await harness.answered(following))[-1]["response"]
    assert end["usage"]["input_tokens"] >= WORDS


async def test_large_record_without_row_and_input_is_set_aside(harness: LargeInputHarness) -> None:
    job = await harness.job(input=LARGE)
    await attempt(job, harness.context(ScriptedEngine(["a"])))
    harness.payloads.content.clear()
    with pytest.raises(UnreadableError, match="input is not kept"):
        await harness.records.write(harness.record(job.response_id))
    with pytest.raises(LostPayloadError):
        await harness.conversations.loaded(await harness.turns.chain(job.response_id))


def early_record(job: Job) -> HistoryRecord:
    """Return a record that arrives before its response has ended in the log."""
    ended = HistoryRecord.of(
        job, response=job.response | {"status": "completed"}, version=1, ended_ms=1
    )
    return HistoryRecord.decode(ended.encode())


async def test_large_record_of_a_running_response_leaves_its_input_for_another_attempt(
    harness: LargeInputHarness,
) -> None:
    job = await harness.job(input=LARGE)
    # As of a worker that has died between the record and the end of the log.
    await harness.large_records(ends_s=0).write(early_record(job))
    assert len(harness.payloads.content) == 1
    assert await attempt(job, harness.context(ScriptedEngine(["a"]))) is Status.COMPLETED
    # The attempt's own record replaces that one, and then nobody needs the input.
    await harness.records.write(harness.record(job.response_id))
    row = harness.rows.records[job.response_id]
    assert (row.version > 1, row.input[0]["content"]) == (True, LARGE)
    assert harness.payloads.content == {}


async def test_large_record_that_overtakes_its_end_deletes_its_input_then(
    harness: LargeInputHarness,
) -> None:
    job = await harness.job(input=LARGE)
    writing = asyncio.create_task(harness.records.write(early_record(job)))
    await eventually(lambda: job.response_id in harness.rows.records, interval_s=0)
    assert len(harness.payloads.content) == 1
    await harness.terminator.end(job.response_id, Status.CANCELLED)
    await writing
    assert harness.payloads.content == {}
