"""Attempts at conversations that are longer than the context window."""

from typing import Any

import pytest

from axon.jobs import Job
from tests.unit.worker.attempt.attempt_harness import DEAD, AttemptHarness, attempt, text_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import EngineDeadError

WINDOW = 12  # a quarter of it is the answer's


async def conversation(harness: AttemptHarness, *, store: bool = True) -> Job:
    """Return the last of three turns of four words each."""
    job = None
    for number in range(3):
        previous = job.response_id if job else None
        job = await harness.job(
            input=f"question number {number}", previous_response_id=previous, store=store
        )
        await attempt(job, harness.context(ScriptedEngine([f"answer{number}"])))
    assert job is not None
    return job


async def ended(harness: AttemptHarness, job: Job, engine: ScriptedEngine) -> dict[str, Any]:
    await attempt(job, harness.context(engine))
    response: dict[str, Any] = (await harness.answered(job))[-1]["response"]
    return response


async def test_truncation_auto_leaves_out_the_oldest_turns(harness: AttemptHarness) -> None:
    last = await conversation(harness)
    job = await harness.job(
        input="and now", previous_response_id=last.response_id, truncation="auto"
    )
    engine = ScriptedEngine(["well"], context_window=WINDOW)
    response = await ended(harness, job, engine)
    assert response["status"] == "completed"
    assert response["truncation"] == "auto"
    assert engine.requests[0].prompt.text == "question number 2 answer2 and now"
    assert response["usage"]["input_tokens"] == 6
    assert response["usage"]["total_tokens"] == 7
    assert (
        harness.metric("axon_inference_tokens_total", kind="input", model="echo") == 3 + 7 + 11 + 6
    )
    assert harness.metric("axon_turns_truncated_total", model="echo") == 2


async def test_truncation_keeps_left_out_turns_in_the_conversation(harness: AttemptHarness) -> None:
    last = await conversation(harness)
    job = await harness.job(input="x", previous_response_id=last.response_id, truncation="auto")
    await ended(harness, job, ScriptedEngine(["y"], context_window=WINDOW))
    following = await harness.job(input="z", previous_response_id=job.response_id)
    engine = ScriptedEngine(["."])
    await ended(harness, following, engine)
    assert engine.requests[0].prompt.text.startswith("question number 0 answer0 question number 1")


async def test_truncation_gives_another_attempt_the_same_prompt(harness: AttemptHarness) -> None:
    last = await conversation(harness)
    job = await harness.job(input="x", previous_response_id=last.response_id, truncation="auto")
    engine = ScriptedEngine(
        ["one ", "two"], context_window=WINDOW, failures=[(1, DEAD)], token_s=0.001
    )
    with pytest.raises(EngineDeadError):
        await attempt(job, harness.context(engine))
    await attempt(job, harness.context(engine))
    first, second = engine.requests
    assert first.prompt == second.prompt
    assert second.generated_token_ids == (100,)
    assert second.request_id == f"{job.response_id}-2"
    decoded = await harness.answered(job)
    assert text_of(decoded) == "one two"
    assert decoded[-1]["response"]["usage"]["input_tokens"] == 9  # two turns and the input


@pytest.mark.parametrize("truncation", [None, "disabled"])
async def test_truncation_disabled_fails_the_response(
    harness: AttemptHarness, truncation: str | None
) -> None:
    last = await conversation(harness, store=False)
    job = await harness.job(
        input="and now", previous_response_id=last.response_id, truncation=truncation, store=False
    )
    engine = ScriptedEngine(["well"], context_window=WINDOW)
    response = await ended(harness, job, engine)
    assert response["status"] == "failed"
    assert response["error"]["code"] == "context_length_exceeded"
    assert "window of 12 tokens" in response["error"]["message"]
    assert "have 14 tokens" in response["error"]["message"]
    assert "'auto'" in response["error"]["message"]
    assert not engine.requests
    assert last.response_id not in harness.turns.turns  # as after any failed continuation
    assert harness.metric("axon_turns_truncated_total", model="echo") is None


async def test_truncation_auto_fails_if_the_input_alone_does_not_fit(
    harness: AttemptHarness,
) -> None:
    last = await conversation(harness)
    job = await harness.job(
        input="word " * WINDOW, previous_response_id=last.response_id, truncation="auto"
    )
    response = await ended(harness, job, ScriptedEngine(["well"], context_window=WINDOW))
    assert response["error"]["code"] == "context_length_exceeded"
    assert "instructions and input have 12 tokens" in response["error"]["message"]
