"""Attempts at conversations that are longer than the context window."""

from typing import Any

import pytest

from axon.jobs import Job
from tests.unit.worker.attempt.attempt_harness import DEAD, Workplace, attempt, text_of
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.engines.protocol import EngineDeadError

WINDOW = 12  # a quarter of it is the answer's


async def conversation(world: Workplace, *, store: bool = True) -> Job:
    """Return the last of three turns of four words each."""
    job = None
    for number in range(3):
        previous = job.response_id if job else None
        job = await world.job(
            input=f"question number {number}", previous_response_id=previous, store=store
        )
        await attempt(job, world.services(ScriptedEngine([f"answer{number}"])))
    assert job is not None
    return job


async def ended(world: Workplace, job: Job, engine: ScriptedEngine) -> dict[str, Any]:
    await attempt(job, world.services(engine))
    response: dict[str, Any] = (await world.answered(job))[-1]["response"]
    return response


async def test_auto_leaves_out_the_oldest_turns(world: Workplace) -> None:
    last = await conversation(world)
    job = await world.job(input="and now", previous_response_id=last.response_id, truncation="auto")
    engine = ScriptedEngine(["well"], context_window=WINDOW)
    response = await ended(world, job, engine)
    assert response["status"] == "completed"
    assert response["truncation"] == "auto"
    assert engine.requests[0].prompt.text == "question number 2 answer2 and now"
    assert response["usage"]["input_tokens"] == 6
    assert response["usage"]["total_tokens"] == 7
    assert world.told("axon_inference_tokens_total", kind="input", model="echo") == 3 + 7 + 11 + 6
    assert world.told("axon_turns_truncated_total", model="echo") == 2


async def test_what_was_left_out_is_not_forgotten(world: Workplace) -> None:
    last = await conversation(world)
    job = await world.job(input="x", previous_response_id=last.response_id, truncation="auto")
    await ended(world, job, ScriptedEngine(["y"], context_window=WINDOW))
    following = await world.job(input="z", previous_response_id=job.response_id)
    engine = ScriptedEngine(["."])
    await ended(world, following, engine)
    assert engine.requests[0].prompt.text.startswith("question number 0 answer0 question number 1")


async def test_another_attempt_goes_on_from_the_same_prompt(world: Workplace) -> None:
    last = await conversation(world)
    job = await world.job(input="x", previous_response_id=last.response_id, truncation="auto")
    engine = ScriptedEngine(
        ["one ", "two"], context_window=WINDOW, failures=[(1, DEAD)], token_s=0.001
    )
    with pytest.raises(EngineDeadError):
        await attempt(job, world.services(engine))
    await attempt(job, world.services(engine))
    first, second = engine.requests
    assert first.prompt == second.prompt
    assert second.generated_token_ids == (100,)
    assert second.request_id == f"{job.response_id}-2"
    decoded = await world.answered(job)
    assert text_of(decoded) == "one two"
    assert decoded[-1]["response"]["usage"]["input_tokens"] == 9  # two turns and the input


@pytest.mark.parametrize("truncation", [None, "disabled"])
async def test_disabled_fails_the_response(world: Workplace, truncation: str | None) -> None:
    last = await conversation(world, store=False)
    job = await world.job(
        input="and now", previous_response_id=last.response_id, truncation=truncation, store=False
    )
    engine = ScriptedEngine(["well"], context_window=WINDOW)
    response = await ended(world, job, engine)
    assert response["status"] == "failed"
    assert response["error"]["code"] == "invalid_prompt"
    assert "window of 12 tokens" in response["error"]["message"]
    assert "have 14 tokens" in response["error"]["message"]
    assert "'auto'" in response["error"]["message"]
    assert not engine.requests
    assert last.response_id not in world.turns.turns  # as after any failed continuation
    assert world.told("axon_turns_truncated_total", model="echo") is None


async def test_auto_fails_if_the_input_alone_does_not_fit(world: Workplace) -> None:
    last = await conversation(world)
    job = await world.job(
        input="word " * WINDOW, previous_response_id=last.response_id, truncation="auto"
    )
    response = await ended(world, job, ScriptedEngine(["well"], context_window=WINDOW))
    assert response["error"]["code"] == "invalid_prompt"
    assert "instructions and input have 12 tokens" in response["error"]["message"]
