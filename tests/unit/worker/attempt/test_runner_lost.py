"""JobRunner over fakes: logs that a failover has shortened or lost, at any age of the job."""

from dataclasses import replace

import pytest

from axon.event_log.log import Status
from axon.history import version_of
from axon.jobs import Job, ReceivedJob
from tests.support.virtual_time import run
from tests.unit.axon.responses.service_harness import DEADLINES
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, outcome_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.endings import LOST
from worker.outcome import AttemptOutcome


def test_runner_ends_a_log_in_progress_of_which_the_history_has_the_end() -> None:
    run(_end_in_progress(AttemptHarness()))


async def _end_in_progress(harness: AttemptHarness) -> None:
    await harness.begin()
    job = await harness.job()
    attempt = await harness.say(job.response_id, "some")
    before = harness.valkey.snapshot()
    await attempt.complete()
    harness.valkey.rewind(before)
    await harness.valkey.heartbeat("relay", lease_s=10_000)
    logged = await harness.valkey.read(job.response_id)

    received = ReceivedJob(body="", receipt_handle="", receive_count=2, message_id="message")
    context = harness.context(ScriptedEngine(["a"]))
    assert await outcome_of(job, received, context=context) is AttemptOutcome.FAILED
    assert await harness.status(job.response_id) is Status.FAILED
    *kept, end = await harness.valkey.read(job.response_id)
    assert kept == logged
    assert end.sequence_number == len(logged)
    assert (await harness.answered(job))[-1]["response"]["error"] == LOST
    version = harness.history.records[job.response_id].version
    assert version == version_of(epoch=0, sequence_number=len(logged))


@pytest.mark.parametrize("age_ms", [1_000, 3_600_000])
def test_runner_ends_a_shortened_log_in_progress_at_any_age(age_ms: int) -> None:
    run(_end_shortened(AttemptHarness(), age_ms))


async def _end_shortened(harness: AttemptHarness, age_ms: int) -> None:
    await harness.begin()
    job = await harness.job()
    await harness.say(job.response_id, "some")
    harness.valkey.rewind(harness.valkey.snapshot())
    await harness.valkey.heartbeat("relay", lease_s=10_000)
    received = ReceivedJob(body="", receipt_handle="", receive_count=2, message_id="message")
    context = harness.context(ScriptedEngine(["a"]))
    context = replace(context, due=_NotDue(), clock_ms=lambda: job.created_ms + age_ms)
    assert await outcome_of(job, received, context=context) is AttemptOutcome.FAILED
    assert (await harness.answered(job))[-1]["response"]["error"] == LOST


async def test_runner_makes_no_log_for_an_old_job_of_which_the_history_has_the_end() -> None:
    harness = AttemptHarness()
    await harness.begin()
    job = await harness.job()
    assert await outcome_after(harness, job, receive_count=1) is AttemptOutcome.COMPLETED
    harness.valkey.lose()
    harness.clock_ms = job.deadline_ms(DEADLINES.longest_wait_s)
    assert await outcome_after(harness, job, receive_count=2) is AttemptOutcome.CANCELLED
    assert await harness.valkey.describe(job.response_id) is None


@pytest.mark.parametrize("receive_count", [1, 2])
async def test_runner_fails_an_old_job_whose_log_is_lost(receive_count: int) -> None:
    harness = AttemptHarness()
    await harness.begin()
    job = await harness.job()
    await harness.say(job.response_id, "some")
    harness.valkey.lose()
    harness.clock_ms = job.deadline_ms(DEADLINES.longest_wait_s)
    outcome = await outcome_after(harness, job, receive_count=receive_count)
    assert outcome is AttemptOutcome.FAILED
    end = (await harness.answered(job))[-1]
    assert (end["type"], end["response"]["error"]) == ("response.failed", LOST)
    assert harness.history.records[job.response_id].response == end["response"]


async def outcome_after(harness: AttemptHarness, job: Job, *, receive_count: int) -> AttemptOutcome:
    received = ReceivedJob(
        body="", receipt_handle="", receive_count=receive_count, message_id="message"
    )
    return await outcome_of(job, received, context=harness.context(ScriptedEngine(["a"])))


class _NotDue:
    """An index of deadlines by which the response has just made progress."""

    async def is_overdue(self, response_id: str) -> bool:
        return False
