"""JobRunner where the response's log has a newer version: nothing here can end it."""

import logging
from typing import Any

import pytest

from axon.formats import UnreadableLogError
from axon.jobs import ReceivedJob
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.worker.attempt.attempt_harness import AttemptHarness
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.endings import ENDINGS
from worker.attempt.runner import JobRunner

RECEIVED = ReceivedJob(body="", receipt_handle="", receive_count=1, message_id="message")


@pytest.mark.parametrize("state", ["running", "overdue"])
async def test_runner_postpones_a_job_whose_log_only_a_newer_version_can_end(
    harness: AttemptHarness, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    job = await harness.job()
    newer = UnreadableLogError(job.response_id)

    async def unreadable(*_: object, **__: object) -> Any:
        raise newer

    if state == "overdue":
        harness.now += DEADLINE_S
        harness.clock_ms = job.deadline_ms(DEADLINE_S)
    harness.valkey.describe = harness.valkey.claim = unreadable  # type: ignore[method-assign]
    runner = JobRunner(context=harness.context(ScriptedEngine(["a"])))
    assert await runner.run(job, RECEIVED) == ENDINGS[UnreadableLogError].result
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
