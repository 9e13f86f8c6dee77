"""JobRunner with an engine that is busy: the job waits in the queue, until its deadline."""

import pytest

from axon.event_log.log import Status
from axon.jobs import ReceivedJob
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, outcome_of, text_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.endings import OVERLOADED
from worker.attempt.runner import JobRunner
from worker.engines.protocol import BusyError
from worker.outcome import AttemptOutcome, MessageAction

MANY = 40
"""Receives of a message: less than make a dead letter, more than a full stage waits for."""


def received(times: int) -> ReceivedJob:
    return ReceivedJob(body="", receipt_handle="", receive_count=times, message_id="message")


async def test_runner_delays_a_job_while_its_engine_is_busy(harness: AttemptHarness) -> None:
    job = await harness.job()
    harness.clock_ms = job.created_ms
    engine = ScriptedEngine(["a"], failures=[(0, BusyError("later", retry_after_s=5))] * 3)
    context = harness.context(engine)
    for times in (1, 2, MANY):
        result = await JobRunner(context=context).run(job, received(times))
        assert result.message is MessageAction.DELAY
        assert result.outcome is AttemptOutcome.DELAYED
        assert result.wait_s == 5
        assert await harness.status(job.response_id) is Status.IN_PROGRESS
    assert await outcome_of(job, received(MANY), context=context) is AttemptOutcome.COMPLETED
    assert text_of(await harness.answered(job)) == "a"


async def test_runner_continues_an_answer_that_a_busy_engine_broke_off(
    harness: AttemptHarness,
) -> None:
    job = await harness.job()
    harness.clock_ms = job.created_ms
    engine = ScriptedEngine(["a", "b", "c"], failures=[(2, BusyError("later"))])
    context = harness.context(engine)
    assert await outcome_of(job, received(1), context=context) is AttemptOutcome.DELAYED
    assert await outcome_of(job, received(2), context=context) is AttemptOutcome.COMPLETED
    assert text_of(await harness.answered(job)) == "abc"
    assert [len(request.generated_token_ids) for request in engine.requests] == [0, 2]


@pytest.mark.parametrize(("wait_s", "left_s"), [(0, 1.5), (300, 299), (3600, 600)])
async def test_runner_says_overloaded_when_the_engine_is_busy_until_the_deadline(
    harness: AttemptHarness, wait_s: float, left_s: float
) -> None:
    job = await harness.job()
    harness.clock_ms = job.deadline_ms(DEADLINE_S) - int(left_s * 1000)
    engine = ScriptedEngine(["a"], failures=[(0, BusyError("later", retry_after_s=wait_s))])
    context = harness.context(engine)
    assert await outcome_of(job, received(1), context=context) is AttemptOutcome.SHED
    decoded = await harness.answered(job)
    assert decoded[-1]["type"] == "response.failed"
    assert decoded[-1]["response"]["error"] == OVERLOADED
    assert harness.metric("axon_requests_shed_total", stage="infer", reason="deadline") == 1
