"""Attempts at jobs of other APIs: stop strings, sampling, flushes, early usage, counts."""

import asyncio
from typing import Any

import pytest

from axon.event_log.log import Status
from axon.jobs import Job
from axon.protocol.objects import Json, Usage
from axon.protocol.view_requests import ViewRequest, to_count
from axon.serialization import loads
from tests.support.principals import a_principal
from tests.support.virtual_time import run
from tests.unit.axon.samples import MODEL, TENANT
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt, until_logged
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.echo.engine import EchoEngine
from worker.engines.protocol import EngineDeadError
from worker.pipeline.flush import FlushPolicy

SLOW = FlushPolicy(first_s=0.2, last_s=0.2, steady_s=1.0, ramp_s=0.5)


async def a_job(harness: AttemptHarness, **fields: Any) -> Job:
    """Return the job of a followed response; no relay runs."""
    await harness.valkey.directory.register((MODEL,), retention_s=10_000)
    request = ViewRequest.model_validate({"model": MODEL, "input": "one two three"} | fields)
    return await submitted(harness, request)


async def submitted(harness: AttemptHarness, request: ViewRequest) -> Job:
    assert await harness.service.submit(request, principal=a_principal(TENANT))
    (job,) = harness.jobs_sent()
    return job


async def events(harness: AttemptHarness, job: Job) -> list[Json]:
    """Return the events of a log that have fields which the Responses API does not have."""
    return [loads(event.data) for event in await harness.valkey.read(job.response_id)]


async def echo() -> EchoEngine:
    engine = EchoEngine(slots=1, model=MODEL)
    await engine.start()
    return engine


async def test_attempt_gives_the_engine_what_the_job_asks_for(harness: AttemptHarness) -> None:
    job = await a_job(harness, stop=["a", "b"], seed=7, top_k=5, logit_bias={"17": 1})
    engine = ScriptedEngine(["x"])
    await attempt(job, harness.context(engine))
    sampling = engine.requests[0].sampling
    assert (sampling.stop, sampling.seed, sampling.top_k) == (("a", "b"), 7, 5)
    assert sampling.logit_bias == {"17": 1.0}


async def test_attempt_tells_which_stop_string_has_ended_the_answer(
    harness: AttemptHarness,
) -> None:
    job = await a_job(harness, stop=["two three f", "two", "two th"], input="one two three")
    assert await attempt(job, harness.context(await echo())) is Status.COMPLETED
    *_, done, end = await events(harness, job)
    (item,) = end["response"]["output"]
    assert done["item"] == item
    assert (item["content"][0]["text"], item["stop_sequence"]) == ("one ", "two")


async def test_attempt_tells_no_stop_string_of_an_answer_without_one(
    harness: AttemptHarness,
) -> None:
    job = await a_job(harness, stop=["four"])
    await attempt(job, harness.context(await echo()))
    assert "stop_sequence" not in (await harness.answered(job))[-1]["response"]["output"][0]


async def test_attempt_knows_the_stop_string_that_an_earlier_one_has_logged(
    harness: AttemptHarness,
) -> None:
    """The worker dies between the last flush and the terminal event."""
    job = await a_job(harness, stop=["three"], store=True)
    harness.history.fail_with = KeyError("killed")
    with pytest.raises(KeyError):
        await attempt(job, harness.context(await echo()))
    harness.history.fail_with = None
    assert await attempt(job, harness.context(ScriptedEngine(["never"]))) is Status.COMPLETED
    (item,) = (await events(harness, job))[-1]["response"]["output"]
    assert (item["content"][0]["text"], item["stop_sequence"]) == ("one two ", "three")


async def test_attempt_finds_a_stop_string_behind_what_an_earlier_one_has_logged(
    harness: AttemptHarness,
) -> None:
    job = await a_job(harness, stop=["four five"], input="one two three four five six")
    engine = ScriptedEngine(
        ["one", " two", " three"], failures=[(3, EngineDeadError("gone"))], token_s=0.001
    )
    with pytest.raises(EngineDeadError):
        await attempt(job, harness.context(engine))
    assert await attempt(job, harness.context(await echo())) is Status.COMPLETED
    (item,) = (await events(harness, job))[-1]["response"]["output"]
    assert item["content"][0]["text"] == "one two three "
    assert item["stop_sequence"] == "four five"


def test_attempt_flushes_as_often_as_the_job_says() -> None:
    assert run(_deltas(flush_ms=100)) == pytest.approx(20, abs=2)
    assert run(_deltas(flush_ms=None)) == pytest.approx(10, abs=2)


async def _deltas(flush_ms: int | None) -> int:
    """Return the deltas of an answer of two seconds."""
    harness = AttemptHarness()
    job = await a_job(harness)
    assert job.flush_ms == 100
    job = job.model_copy(update={"flush_ms": flush_ms})
    engine = ScriptedEngine(["a"] * 200, token_s=0.01)
    await attempt(job, harness.context(engine, SLOW))
    kinds = [event["type"] for event in await harness.answered(job)]
    return kinds.count("response.output_text.delta")


async def test_attempt_tells_the_prompts_tokens_when_the_output_begins(
    harness: AttemptHarness,
) -> None:
    for early_usage in (True, None):
        job = await a_job(harness, early_usage=early_usage)
        engine = ScriptedEngine(["a", "b"], cached_tokens=2)
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=3)
        begun = (await events(harness, job))[2]
        assert begun["type"] == "response.output_item.added"
        expected = Usage(input_tokens=3, cached_tokens=2).wire() if early_usage else None
        assert begun.get("usage") == expected
        engine.pass_(1)
        await running
        usage = (await events(harness, job))[-1]["response"]["usage"]
        assert usage == Usage(input_tokens=3, output_tokens=2, cached_tokens=2).wire()


@pytest.mark.parametrize("truncation", [None, "auto"])
@pytest.mark.parametrize("words", [3, 2_000])
async def test_attempt_counts_the_tokens_that_a_generation_would_read(
    harness: AttemptHarness, truncation: str | None, words: int
) -> None:
    fields = {"input": "word " * words, "instructions": "Be brief.", "truncation": truncation}
    job = await a_job(harness, **fields)
    asked = ViewRequest.model_validate({"model": MODEL, **fields})
    counting = await submitted(harness, to_count(asked))
    engine = ScriptedEngine(["x"], context_window=3_000)
    await attempt(job, harness.context(engine))
    generated = (await harness.answered(job))[-1]["response"]["usage"]["input_tokens"]
    assert await attempt(counting, harness.context(engine)) is Status.COMPLETED
    response = (await harness.answered(counting))[-1]["response"]
    assert response["usage"] == Usage(input_tokens=generated).wire()
    assert (response["output"], len(engine.requests)) == ([], 1)
    assert counting.response_id not in harness.history.records


async def test_attempt_counts_the_tokens_of_a_prompt_that_is_too_long(
    harness: AttemptHarness,
) -> None:
    counting = to_count(await _request(harness))
    job = await submitted(harness, counting)
    await attempt(job, harness.context(ScriptedEngine(context_window=2)))
    assert (await harness.answered(job))[-1]["response"]["usage"]["input_tokens"] == 3


async def test_attempt_counts_no_tokens_that_are_only_estimated(harness: AttemptHarness) -> None:
    job = await submitted(harness, to_count(await _request(harness)))
    context = harness.context(ScriptedEngine(estimated=True))
    assert await attempt(job, context) is Status.FAILED
    error = (await harness.answered(job))[-1]["response"]["error"]
    assert error["code"] == "invalid_prompt"
    assert "Read the `usage`" in error["message"]


async def _request(harness: AttemptHarness) -> ViewRequest:
    await harness.valkey.directory.register((MODEL,), retention_s=10_000)
    return ViewRequest(model=MODEL, input="one two three")
