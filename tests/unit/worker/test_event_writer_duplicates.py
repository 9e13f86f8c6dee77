"""EventWriter: a job that has several messages, each of which is received for the first time."""

import asyncio

import pytest

from axon.exceptions import MissingResponseError
from tests.support.virtual_time import run
from tests.unit.axon.samples import a_job
from tests.unit.worker.test_event_writer import EventWriterHarness
from worker.event_writer import EventWriter


@pytest.mark.parametrize("loss", ["all", "events", "claim and events"])
def test_event_writer_of_a_second_message_writes_nothing_over_what_the_first_one_delivered(
    loss: str,
) -> None:
    run(_second_message(loss, received=5))


def test_event_writer_of_a_second_message_does_not_trust_silence() -> None:
    run(_second_message("claim and events", received=None))


async def _second_message(loss: str, *, received: int | None) -> None:
    harness = EventWriterHarness()
    harness.job = a_job(idempotency_key="key")
    await harness.open()
    opened = harness.log.snapshot()
    first = harness.writer("message-1")
    transcript = await first.claim(untouched=True)
    claimed = harness.log.snapshot()
    await first.append(transcript.delta("one two ", [1, 2]))
    if loss == "all":
        await harness.lose()
    else:
        await harness.rewind(claimed if loss == "events" else opened)
        if received is not None:
            await harness.confirm(received)
    second = harness.writer("message-2")
    with pytest.raises(MissingResponseError):
        await second.claim(untouched=True)
    # If it still lives, the first attempt continues unless the second one has claimed since.
    failed = await harness.writer("message-2").fail_lost(harness.job.transcript(), {"code": "x"})
    assert failed is not None
    assert failed.sequence_number == (2 if loss == "all" else received or 2)


def test_event_writer_makes_the_lost_log_of_a_job_again_that_is_sent_once() -> None:
    run(_restored())


async def _restored() -> None:
    harness = EventWriterHarness()
    await harness.open()
    await harness.lose()
    writer: EventWriter = harness.writer()
    async with asyncio.timeout(1):
        transcript = await writer.claim(untouched=True)
    assert transcript.next_sequence == 2
    # SQS may have delivered a duplicate with receive count 1, whose attempt's events are lost: who
    # has more of them is stopped at the fork, and an attempt before the next append asks first.
    lost = await harness.log.describe(harness.job.response_id)
    assert lost is not None
    assert (lost.incomplete, lost.forks) == (True, f" 1:{harness.log.generation}")
    await writer.append(transcript.delta("one ", [1]))
    written = await harness.log.describe(harness.job.response_id)
    assert written is not None
    assert not written.incomplete


def test_event_writer_of_a_second_message_waits_for_nothing_while_nothing_is_lost() -> None:
    run(_begun_twice())


async def _begun_twice() -> None:
    harness = EventWriterHarness()
    harness.job = a_job(idempotency_key="key")
    await harness.open()
    first = harness.writer("message-1")
    transcript = await first.claim(untouched=True)
    await first.append(transcript.delta("one ", [1]))
    async with asyncio.timeout(1):
        assert (await harness.writer("message-2").claim(untouched=True)).text == "one "
