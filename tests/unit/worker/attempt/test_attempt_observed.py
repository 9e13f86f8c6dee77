"""Metrics and traces of attempts."""

import asyncio

import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError
from tests.support.virtual_time import run
from tests.unit.worker.attempt.attempt_harness import DEAD, AttemptHarness, attempt, until_logged
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.claimers import EndedError
from worker.engines.protocol import EngineDeadError, EngineError


class TestAttemptTelemetry:
    """Metrics and traces of attempts."""

    async def test_counts_tokens_and_observes_the_time_to_the_first(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job(input="one two three")
        harness.clock_ms = job.created_ms + 1500
        engine = ScriptedEngine(["a", "", "b", "c"], token_s=0.001)
        assert await attempt(job, harness.context(engine)) is Status.COMPLETED
        assert harness.metric("axon_inference_tokens_total", kind="input", model="echo") == 3
        assert harness.metric("axon_inference_tokens_total", kind="output", model="echo") == 4
        assert harness.metric("axon_time_to_first_token_seconds_count") == 1
        assert harness.metric("axon_time_to_first_token_seconds_sum") == 1.5
        assert harness.tracing.one("generate").attributes == {"first_token_s": 1.5}
        assert harness.tracing.one("assemble").error is None
        assert all(span.ended for span in harness.tracing.spans)

    async def test_observes_no_negative_time_to_the_first_token(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        harness.clock_ms = job.created_ms - 40
        await attempt(job, harness.context(ScriptedEngine(["a"])))
        assert harness.metric("axon_time_to_first_token_seconds_sum") == 0

    async def test_observes_the_first_token_of_several_attempts_once(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        tokens = ["one ", "two ", "three"]
        engine = ScriptedEngine(tokens, failures=[(0, DEAD), (2, DEAD)], token_s=0.001)
        for _ in range(2):
            with pytest.raises(EngineDeadError):
                await attempt(job, harness.context(engine))
        assert await attempt(job, harness.context(engine)) is Status.COMPLETED
        assert harness.metric("axon_time_to_first_token_seconds_count") == 1
        assert harness.metric("axon_inference_tokens_total", kind="output", model="echo") == 3
        assert harness.metric("axon_inference_tokens_total", kind="input", model="echo") == 3 * len(
            engine.requests[0].prompt.token_ids
        )

    async def test_observes_no_first_token_of_an_empty_answer(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        await attempt(job, harness.context(ScriptedEngine([])))
        assert harness.metric("axon_time_to_first_token_seconds_count") == 0
        assert harness.metric("axon_inference_tokens_total", kind="output", model="echo") == 0

    async def test_traces_the_epoch_and_the_error_of_each_attempt(
        self, harness: AttemptHarness
    ) -> None:
        engine = ScriptedEngine(["a"], finish="length", failures=[(1, EngineError("No luck."))])
        for epoch, status in ((1, Status.FAILED), (1, Status.INCOMPLETE)):
            job = await harness.job(max_output_tokens=1)
            with harness.tracing.receive("job", header=None):
                assert await attempt(job, harness.context(engine)) is status
            job_span = harness.tracing.spans[-3]
            assert job_span.attributes == {"epoch": epoch}
            assert harness.tracing.spans[-1].path == ("job", "generate")
            assert harness.tracing.spans[-1].error is (
                EngineError if status is Status.FAILED else None
            )

    def test_counts_only_unlogged_tokens_of_a_dead_engine_as_regenerated(self) -> None:
        async def story() -> None:
            harness = AttemptHarness()
            await harness.begin()
            job = await harness.job()
            engine = ScriptedEngine(["one ", "", "two ", ""], failures=[(4, DEAD)], token_s=0.02)
            with pytest.raises(EngineDeadError):
                await attempt(job, harness.context(engine))
            assert harness.metric("axon_inference_tokens_total", kind="output", model="echo") == 3
            assert harness.metric("axon_tokens_regenerated_total", model="echo") == 1

        run(story())

    def test_observes_the_mean_time_per_output_token(self) -> None:
        async def story() -> None:
            harness = AttemptHarness()
            await harness.begin()
            for tokens in (["a"], ["a", "b", "c"]):
                job = await harness.job()
                await attempt(job, harness.context(ScriptedEngine(tokens, token_s=0.02)))
            assert harness.metric("axon_time_per_output_token_seconds_count") == 1
            assert harness.metric("axon_time_per_output_token_seconds_sum") == pytest.approx(0.02)

        run(story())

    async def test_counts_no_token_of_a_cancelled_response_as_regenerated(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two "] * 50)
        engine.pass_(2)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=6)
        await harness.terminator.end(job.response_id, Status.CANCELLED)
        engine.pass_(50)
        with pytest.raises(EndedError):
            await running
        assert harness.metric("axon_tokens_regenerated_total", model="echo") is None

    async def test_traces_the_epoch_of_a_later_attempt(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        await harness.valkey.claim(job.response_id)
        with harness.tracing.receive("job", header=None):
            await attempt(job, harness.context(ScriptedEngine(["a"])))
        assert harness.tracing.one("job").attributes == {"epoch": 2}

    async def test_traces_the_error_of_a_prompt_that_does_not_fit(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job(input="one two three")
        engine = ScriptedEngine(["a"], context_window=3)
        assert await attempt(job, harness.context(engine)) is Status.FAILED
        assert [span.path for span in harness.tracing.spans] == [("assemble",)]
        assert harness.tracing.one("assemble").error is RequestError
        assert harness.metric("axon_inference_tokens_total", kind="input", model="echo") is None
