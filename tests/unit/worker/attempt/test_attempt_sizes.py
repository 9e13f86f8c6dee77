"""Answers that outgrow a message of the client's connection (ADR 21)."""

import asyncio
from typing import Any

import pytest

from axon.event_log.log import Status
from axon.exceptions import FencedError
from axon.jobs import Job
from axon.protocol.objects import Usage
from axon.protocol.sizes import END_BYTES, MESSAGE_BYTES
from tests.unit.worker.attempt.attempt_harness import (
    DEAD,
    AttemptHarness,
    attempt,
    text_of,
    until_logged,
)
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import EngineDeadError
from worker.pipeline.flush import FlushPolicy

WORDS = ['wörd "quoted" \n' * 1_000] * 12
"""19 KB each in an event, 15 KB as they are: not even seven fit."""
ANSWER = "".join(WORDS)
FLUSH_AT_END = FlushPolicy(first_s=1.0, last_s=1.0, steady_s=1.0, ramp_s=0.5)
LONG = 300_000
"""Characters of one flush, as an upstream may send that does not stream."""


async def ended(harness: AttemptHarness, job: Job) -> dict[str, Any]:
    """Return the response as its client has it; check that a message carries each event."""
    log = await harness.valkey.read(job.response_id)
    assert max(len(event.data) for event in log) <= MESSAGE_BYTES
    response: dict[str, Any] = (await harness.answered(job))[-1]["response"]
    return response


async def test_attempt_ends_an_answer_incomplete_before_it_outgrows_a_message(
    harness: AttemptHarness,
) -> None:
    job = await harness.job(input="one two three", instructions="i" * 50_000, stream_id="s")
    engine = ScriptedEngine(WORDS)
    assert await attempt(job, harness.context(engine)) is Status.INCOMPLETE
    response = await ended(harness, job)
    text = text_of([{"response": response}])
    assert ANSWER.startswith(text)
    log = await harness.valkey.read(job.response_id)
    assert len(log[-1].data) > MESSAGE_BYTES - END_BYTES
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["usage"]["input_tokens"] == 4
    assert response["usage"]["output_tokens"] == 7
    assert response["instructions"] is None
    # The engine stops; what is stored is whole.
    assert engine.given < len(WORDS)
    assert engine.running == 0
    stored = harness.history.records[job.response_id].response
    assert stored["instructions"] == "i" * 50_000
    assert stored["output"] == response["output"]


async def test_attempt_lets_a_cut_answer_be_continued(harness: AttemptHarness) -> None:
    first = await harness.job(input="one")
    await attempt(first, harness.context(ScriptedEngine(WORDS)))
    text = text_of([{"response": await ended(harness, first)}])
    following = await harness.job(input="go on", previous_response_id=first.response_id)
    engine = ScriptedEngine(["more"], context_window=100_000)
    assert await attempt(following, harness.context(engine)) is Status.COMPLETED
    assert engine.requests[0].prompt.text == f"one {text} go on"


@pytest.mark.parametrize("estimated", [False, True])
async def test_attempt_cuts_a_flush_that_is_too_long_alone(
    harness: AttemptHarness, estimated: bool
) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(["x" * LONG, "never"], estimated=estimated)
    assert await attempt(job, harness.context(engine)) is Status.INCOMPLETE
    response = await ended(harness, job)
    assert set(text_of([{"response": response}])) == {"x"}
    # Where only the upstream knows, and is not waited for, the numbers are this worker's.
    assert response["usage"] == Usage(input_tokens=3, output_tokens=1).wire()


async def test_attempt_reports_the_engines_usage_of_an_answer_that_ends_in_its_cut(
    harness: AttemptHarness,
) -> None:
    job = await harness.job(input="one two three")
    counted = Usage(input_tokens=7, output_tokens=9)
    engine = ScriptedEngine(["x" * LONG], usage=counted, estimated=True)
    context = harness.context(engine, policy=FLUSH_AT_END)
    assert await attempt(job, context) is Status.INCOMPLETE
    assert (await ended(harness, job))["usage"] == counted.wire()


async def test_attempt_counts_what_earlier_attempts_have_logged(harness: AttemptHarness) -> None:
    job = await harness.job(input="one two three")
    engine = ScriptedEngine(WORDS, failures=[(4, DEAD)])
    with pytest.raises(EngineDeadError):
        await attempt(job, harness.context(engine))
    assert await attempt(job, harness.context(engine)) is Status.INCOMPLETE
    response = await ended(harness, job)
    assert ANSWER.startswith(text_of([{"response": response}]))
    assert response["usage"]["output_tokens"] == 7


async def test_attempt_after_one_that_died_behind_the_cut_ends_it_the_same_way(
    harness: AttemptHarness,
) -> None:
    job = await harness.job(input="one two three")
    harness.history.fail_with = KeyError("killed")
    context = harness.context(ScriptedEngine(["x" * LONG, "never"], estimated=True))
    with pytest.raises(KeyError):
        await attempt(job, context)
    harness.history.fail_with = None
    again = harness.context(ScriptedEngine(["never"], estimated=True))
    assert await attempt(job, again) is Status.INCOMPLETE
    usage = (await ended(harness, job))["usage"]
    assert usage == Usage(input_tokens=3, output_tokens=1).wire()


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.INCOMPLETE, Status.FAILED])
async def test_terminator_ends_an_answer_that_is_almost_full(
    harness: AttemptHarness, status: Status
) -> None:
    job = await harness.job(input="one two three", instructions="i" * 50_000)
    engine = ScriptedEngine(WORDS)
    engine.pass_(6)
    running = asyncio.create_task(attempt(job, harness.context(engine), untouched=True))
    await until_logged(harness, job, count=8)
    error = {"code": "server_error", "message": "\x00" * 2_000}
    await harness.terminator.end(
        job.response_id, status, error=error if status is Status.FAILED else None
    )
    engine.pass_(1)
    with pytest.raises(FencedError):
        await running
    response = await ended(harness, job)
    assert response["status"] == status.value
    assert text_of([{"response": response}]) == "".join(WORDS[:6])
    assert response["usage"]["output_tokens"] == 6


async def test_attempt_does_not_cut_an_answer_that_goes_another_way(
    harness: AttemptHarness,
) -> None:
    """Over HTTP, as at a SageMaker endpoint."""
    job = await harness.job(input="one")
    http = job.model_copy(update={"message_bytes": None})
    assert await attempt(http, harness.context(ScriptedEngine(WORDS))) is Status.COMPLETED
    assert text_of(await harness.answered(job)) == ANSWER
