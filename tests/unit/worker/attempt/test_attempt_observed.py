"""What the metrics and the trace tell of an attempt."""

import asyncio

import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError
from tests.support.virtual_time import run
from tests.unit.worker.attempt.attempt_harness import DEAD, Workplace, attempt, until_logged
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.engines.protocol import EngineDeadError, EngineError
from worker.event_writer import EndedError


class TestObserved:
    """What the metrics and the trace tell of an attempt."""

    async def test_tokens_and_the_wait_for_the_first(self, world: Workplace) -> None:
        job = await world.job(input="one two three")
        world.clock_ms = job.created_ms + 1500
        engine = ScriptedEngine(["a", "", "b", "c"], token_s=0.001)
        assert await attempt(job, world.services(engine)) is Status.COMPLETED
        assert world.told("axon_inference_tokens_total", kind="input", model="echo") == 3
        assert world.told("axon_inference_tokens_total", kind="output", model="echo") == 4
        assert world.told("axon_time_to_first_token_seconds_count") == 1
        assert world.told("axon_time_to_first_token_seconds_sum") == 1.5
        assert world.tracing.one("generate").attributes == {"first_token_s": 1.5}
        assert world.tracing.one("assemble").error is None
        assert all(span.ended for span in world.tracing.spans)

    async def test_two_machines_clocks_may_disagree(self, world: Workplace) -> None:
        job = await world.job()
        world.clock_ms = job.created_ms - 40
        await attempt(job, world.services(ScriptedEngine(["a"])))
        assert world.told("axon_time_to_first_token_seconds_sum") == 0

    async def test_the_wait_for_the_first_token_is_told_once(self, world: Workplace) -> None:
        job = await world.job()
        tokens = ["one ", "two ", "three"]
        engine = ScriptedEngine(tokens, failures=[(0, DEAD), (2, DEAD)], token_s=0.001)
        for _ in range(2):
            with pytest.raises(EngineDeadError):
                await attempt(job, world.services(engine))
        assert await attempt(job, world.services(engine)) is Status.COMPLETED
        assert world.told("axon_time_to_first_token_seconds_count") == 1
        assert world.told("axon_inference_tokens_total", kind="output", model="echo") == 3
        assert world.told("axon_inference_tokens_total", kind="input", model="echo") == 3 * len(
            engine.requests[0].prompt.token_ids
        )

    async def test_an_empty_answer_has_no_first_token(self, world: Workplace) -> None:
        job = await world.job()
        await attempt(job, world.services(ScriptedEngine([])))
        assert world.told("axon_time_to_first_token_seconds_count") == 0
        assert world.told("axon_inference_tokens_total", kind="output", model="echo") == 0

    async def test_how_it_ended_and_which_attempt_it_was(self, world: Workplace) -> None:
        engine = ScriptedEngine(["a"], finish="length", failures=[(1, EngineError("No luck."))])
        for epoch, status in ((1, Status.FAILED), (1, Status.INCOMPLETE)):
            job = await world.job(max_output_tokens=1)
            with world.tracing.receive("job", header=None):
                assert await attempt(job, world.services(engine)) is status
            job_span = world.tracing.spans[-3]
            assert job_span.attributes == {"epoch": epoch}
            assert world.tracing.spans[-1].path == ("job", "generate")
            assert world.tracing.spans[-1].error is (
                EngineError if status is Status.FAILED else None
            )

    def test_what_a_dead_engine_made_is_logged_before(self) -> None:
        async def story() -> None:
            world = Workplace()
            await world.begin()
            job = await world.job()
            engine = ScriptedEngine(["one ", "", "two ", ""], failures=[(4, DEAD)], token_s=0.02)
            with pytest.raises(EngineDeadError):
                await attempt(job, world.services(engine))
            assert world.told("axon_inference_tokens_total", kind="output", model="echo") == 3
            assert world.told("axon_tokens_regenerated_total", model="echo") == 1

        run(story())

    def test_the_mean_time_from_one_token_to_the_next(self) -> None:
        async def story() -> None:
            world = Workplace()
            await world.begin()
            for tokens in (["a"], ["a", "b", "c"]):
                job = await world.job()
                await attempt(job, world.services(ScriptedEngine(tokens, token_s=0.02)))
            assert world.told("axon_time_per_output_token_seconds_count") == 1
            assert world.told("axon_time_per_output_token_seconds_sum") == pytest.approx(0.02)

        run(story())

    async def test_what_is_cancelled_is_not_generated_again(self, world: Workplace) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two "] * 50)
        engine.pass_(2)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await until_logged(world, job, count=6)
        await world.terminator.end(job.response_id, Status.CANCELLED)
        engine.pass_(50)
        with pytest.raises(EndedError):
            await running
        assert world.told("axon_tokens_regenerated_total", model="echo") is None

    async def test_a_later_attempt_says_so(self, world: Workplace) -> None:
        job = await world.job()
        await world.valkey.claim(job.response_id)
        with world.tracing.receive("job", header=None):
            await attempt(job, world.services(ScriptedEngine(["a"])))
        assert world.tracing.one("job").attributes == {"epoch": 2}

    async def test_a_prompt_that_cannot_be_made(self, world: Workplace) -> None:
        job = await world.job(input="one two three")
        engine = ScriptedEngine(["a"], context_window=3)
        assert await attempt(job, world.services(engine)) is Status.FAILED
        assert [span.path for span in world.tracing.spans] == [("assemble",)]
        assert world.tracing.one("assemble").error is RequestError
        assert world.told("axon_inference_tokens_total", kind="input", model="echo") is None
