"""Attempts over fakes: what they append is what the SDK takes, wherever they die."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.event_log.log import Status
from axon.exceptions import UnavailableError
from axon.history import version_of
from tests.support.virtual_time import run
from tests.unit.worker.attempt.attempt_harness import DEAD, AttemptHarness, attempt, text_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.attempt.endings import ENGINE_FAILED
from worker.engines.protocol import (
    ContextOverflowError,
    EngineDeadError,
    EngineError,
    RefusedError,
)
from worker.pipeline.flush import FlushPolicy


class TestAttemptCompleted:
    @pytest.mark.parametrize("stream_id", [None, "stream-7"])
    async def test_logs_several_deltas(
        self, harness: AttemptHarness, stream_id: str | None
    ) -> None:
        job = await harness.job(input="one two three", stream_id=stream_id)
        engine = ScriptedEngine(["Hel", "lo, ", "wörld 🌍"], token_s=0.001)
        await attempt(job, harness.context(engine))
        decoded = await harness.answered(job)
        deltas = [e["delta"] for e in decoded if e["type"] == "response.output_text.delta"]
        assert deltas == ["Hel", "lo, ", "wörld 🌍"]
        response = decoded[-1]["response"]
        assert response["status"] == "completed"
        assert response["usage"]["input_tokens"] == 3
        assert response["usage"]["output_tokens"] == 3
        assert engine.running == 0

    async def test_logs_token_ids_with_their_text(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        await attempt(job, harness.context(ScriptedEngine(["a", "", "b", ""], token_s=0.001)))
        log = await harness.valkey.read(job.response_id)
        assert [e.token_ids for e in log if e.token_ids] == [(100,), (101, 102), (103,)]
        decoded = await harness.answered(job)
        assert decoded[-1]["response"]["usage"]["output_tokens"] == 4

    async def test_completes_an_empty_answer(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        await attempt(job, harness.context(ScriptedEngine([])))
        decoded = await harness.answered(job)
        assert text_of(decoded) == ""
        assert decoded[-1]["response"]["usage"]["output_tokens"] == 0

    async def test_sends_the_history_before_the_terminal_event(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job(input="What?")
        send = harness.history.send

        async def check(record: Any) -> None:
            meta = await harness.valkey.describe(job.response_id)
            assert meta is not None
            assert meta.status is Status.IN_PROGRESS
            await send(record)

        harness.history.send = check  # type: ignore[method-assign]
        await attempt(job, harness.context(ScriptedEngine(["a"])))
        record = harness.history.records[job.response_id]
        decoded = await harness.answered(job)
        assert record.response == decoded[-1]["response"]
        assert record.version == version_of(epoch=1, sequence_number=len(decoded) - 1)
        assert record.ended_ms == 77
        assert record.input == job.input

    @pytest.mark.parametrize("store", [True, False])
    async def test_keeps_a_turn_that_can_be_continued(
        self, harness: AttemptHarness, store: bool
    ) -> None:
        job = await harness.job(input="one", store=store)
        await attempt(job, harness.context(ScriptedEngine(["first"])))
        assert (job.response_id in harness.history.records) is store
        engine = ScriptedEngine(["second"])
        following = await harness.job(input="two", previous_response_id=job.response_id)
        await attempt(following, harness.context(engine))
        assert [(m.role, m.content) for m in engine.messages[0]] == [
            ("user", "one"),
            ("assistant", "first"),
            ("user", "two"),
        ]


class TestAttemptRequest:
    async def test_passes_the_clients_parameters_to_the_engine(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job(
            input="hello", temperature=0, top_p=0.5, presence_penalty=1, frequency_penalty=-1,
            max_output_tokens=7,
        )  # fmt: skip
        engine = ScriptedEngine(["a"])
        await attempt(job, harness.context(engine))
        (request,) = engine.requests
        assert request.request_id == f"{job.response_id}-1"
        assert request.model == "echo"
        assert request.prompt.text == "hello"
        sampling = request.sampling
        assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (7, 0, 0.5)
        assert (sampling.presence_penalty, sampling.frequency_penalty) == (1, -1)
        assert request.generated_token_ids == ()

    @pytest.mark.parametrize(
        ("wanted", "window", "most", "given"),
        [(None, 100, 50, 50), (20, 100, 50, 20), (80, 100, 50, 50), (80, 12, 50, 10)],
    )
    async def test_limits_tokens_to_the_smallest_of_three_limits(
        self, harness: AttemptHarness, wanted: int | None, window: int, most: int, given: int
    ) -> None:
        job = await harness.job(input="two words", max_output_tokens=wanted)
        engine = ScriptedEngine(["a"], context_window=window, max_output_tokens=most)
        await attempt(job, harness.context(engine))
        assert engine.requests[0].sampling.max_tokens == given

    async def test_leaves_unset_parameters_to_the_engine(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["a"])
        await attempt(job, harness.context(engine))
        sampling = engine.requests[0].sampling
        assert sampling.temperature is sampling.top_p is sampling.presence_penalty is None


class TestAttemptIncomplete:
    @pytest.mark.parametrize("tokens", [[], ["one ", "two"]])
    async def test_ends_at_max_output_tokens(
        self, harness: AttemptHarness, tokens: list[str]
    ) -> None:
        job = await harness.job(max_output_tokens=2)
        await attempt(job, harness.context(ScriptedEngine(tokens, finish="length")))
        decoded = await harness.answered(job)
        assert decoded[-1]["type"] == "response.incomplete"
        response = decoded[-1]["response"]
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["usage"]["output_tokens"] == len(tokens)
        assert response["output"][0]["status"] == "incomplete"
        assert harness.history.records[job.response_id].response == response
        assert job.response_id in harness.turns.turns


class TestAttemptFailed:
    @pytest.mark.parametrize("stored", [True, False])
    async def test_evicts_an_unstored_parent(self, harness: AttemptHarness, stored: bool) -> None:
        parent = await harness.job(store=stored)
        await attempt(parent, harness.context(ScriptedEngine(["one"])))
        job = await harness.job(previous_response_id=parent.response_id, store=stored)
        engine = ScriptedEngine(["two"], failures=[(0, EngineError("No luck."))])
        await attempt(job, harness.context(engine))
        assert (parent.response_id in harness.turns.turns) is stored

    @pytest.mark.parametrize("after", [0, 2])
    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (EngineError("at 0x7f"), "server_error", ENGINE_FAILED),
            (RefusedError("No luck."), "invalid_prompt", "No luck."),
        ],
    )
    async def test_ends_with_an_error_of_the_engine(
        self, harness: AttemptHarness, after: int, error: EngineError, code: str, message: str
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two "], failures=[(after, error)])
        await attempt(job, harness.context(engine))
        decoded = await harness.answered(job)
        assert decoded[-1]["type"] == "response.failed"
        assert decoded[-1]["response"]["error"] == {"code": code, "message": message}
        assert len(decoded[-1]["response"]["output"]) == (1 if after else 0)
        assert harness.history.records[job.response_id].response["status"] == "failed"
        assert job.response_id not in harness.turns.turns

    async def test_fails_if_the_engine_stops_without_a_reason(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        await attempt(job, harness.context(ScriptedEngine(["half an"], finish=None)))
        assert (await harness.answered(job))[-1]["type"] == "response.failed"

    async def test_fails_if_the_prompt_leaves_no_room(self, harness: AttemptHarness) -> None:
        job = await harness.job(input="one two three")
        await attempt(job, harness.context(ScriptedEngine(["a"], context_window=3)))
        error = (await harness.answered(job))[-1]["response"]["error"]
        assert error["code"] == "context_length_exceeded"
        assert "3 tokens" in error["message"]

    async def test_fails_if_the_engine_refuses_the_prompt_as_too_long(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(failures=[(0, ContextOverflowError("The prompt is too long."))])
        await attempt(job, harness.context(engine))
        assert (await harness.answered(job))[-1]["type"] == "response.failed"

    async def test_fails_if_the_conversation_has_been_deleted(
        self, harness: AttemptHarness
    ) -> None:
        first = await harness.job(store=False)
        await attempt(first, harness.context(ScriptedEngine(["a"])))
        job = await harness.job(previous_response_id=first.response_id)
        harness.turns.turns.clear()
        await attempt(job, harness.context(ScriptedEngine(["b"])))
        error = (await harness.answered(job))[-1]["response"]["error"]
        assert error["code"] == "invalid_prompt"
        assert first.response_id in error["message"]

    async def test_fails_if_the_worker_does_not_serve_the_model(
        self, harness: AttemptHarness
    ) -> None:
        await harness.valkey.directory.register(("other",), retention_s=10_000)
        job = await harness.job(model="other")
        await attempt(job, harness.context(ScriptedEngine(["a"])))
        assert "'other'" in (await harness.answered(job))[-1]["response"]["error"]["message"]


class TestAttemptContinued:
    @pytest.mark.parametrize("finish", ["stop", "length"])
    @pytest.mark.parametrize("died_after", range(4))
    async def test_continues_after_every_token(
        self, harness: AttemptHarness, died_after: int, finish: Any
    ) -> None:
        job = await harness.job(stream_id="s")
        tokens = ["one ", "", "three"]
        engine = ScriptedEngine(tokens, finish=finish, failures=[(died_after, DEAD)], token_s=0.001)
        with pytest.raises(EngineDeadError):
            await attempt(job, harness.context(engine))
        await attempt(job, harness.context(engine))
        decoded = await harness.answered(job)
        assert text_of(decoded) == "one three"
        assert decoded[-1]["response"]["usage"]["output_tokens"] == 3
        assert engine.given <= 4
        assert engine.requests[1].request_id == f"{job.response_id}-2"

    @pytest.mark.parametrize("finish", ["stop", "length"])
    async def test_appends_the_end_if_only_the_end_is_missing(
        self, harness: AttemptHarness, finish: Any
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two"], finish=finish)
        harness.history.fail_with = UnavailableError("no queue")
        harness.shutdown.drain()
        with pytest.raises(UnavailableError):
            await attempt(job, harness.context(engine))
        harness.history.fail_with = None
        await attempt(job, harness.context(engine))
        decoded = await harness.answered(job)
        assert text_of(decoded) == "one two"
        status = "completed" if finish == "stop" else "incomplete"
        assert decoded[-1]["type"] == f"response.{status}"
        assert decoded[-1]["response"]["output"][0]["status"] == status
        assert len(engine.requests) == 1
        record = harness.history.records[job.response_id]
        assert record.version == version_of(epoch=2, sequence_number=len(decoded) - 1)

    async def test_continues_after_many_deaths(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        tokens = [f"{number} " for number in range(20)]
        engine = ScriptedEngine(tokens, failures=[(n, DEAD) for n in range(0, 20, 3)])
        for _ in range(7):
            with pytest.raises(EngineDeadError):
                await attempt(job, harness.context(engine))
        await attempt(job, harness.context(engine))
        assert text_of(await harness.answered(job)) == "".join(tokens)
        assert engine.given == 20

    @settings(max_examples=60)
    @given(
        tokens=st.lists(st.text(max_size=4), max_size=12),
        deaths=st.lists(st.integers(0, 12), max_size=4),
        first_s=st.sampled_from([1e-9, 0.01, 0.05]),
    )
    def test_completes_the_answer_wherever_attempts_die(
        self, tokens: list[str], deaths: list[int], first_s: float
    ) -> None:
        run(
            self.whole(
                tokens,
                sorted(deaths),
                FlushPolicy(first_s=first_s, last_s=0.1, steady_s=1.0, ramp_s=0.5),
            )
        )

    async def whole(self, tokens: list[str], deaths: list[int], policy: FlushPolicy) -> None:
        harness = AttemptHarness()
        await harness.begin()
        job = await harness.job()
        failures = [(min(death, len(tokens)), DEAD) for death in deaths]
        engine = ScriptedEngine(tokens, failures=failures, token_s=0.02)
        for _ in failures:
            with pytest.raises(EngineDeadError):
                await attempt(job, harness.context(engine, policy))
        await attempt(job, harness.context(engine, policy))
        decoded = await harness.answered(job)
        assert text_of(decoded) == "".join(tokens)
        assert decoded[-1]["response"]["usage"]["output_tokens"] == len(tokens)
        logged = await harness.valkey.read(job.response_id)
        ids = [token for event in logged for token in event.token_ids]
        assert ids == [100 + number for number in range(len(tokens))]
