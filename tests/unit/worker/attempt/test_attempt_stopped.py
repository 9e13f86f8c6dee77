"""Attempts that are cancelled, overtaken or never begun."""

import asyncio
from dataclasses import replace

import pytest

from axon.event_log.log import Status
from axon.exceptions import FencedError, MissingResponseError
from axon.history import HistoryRecord
from axon.responses.terminator import OVERDUE
from tests.support.eventually import eventually
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.attempt.attempt_harness import (
    FENCE_S,
    AttemptHarness,
    attempt,
    text_of,
    until_logged,
)
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from tests.unit.worker.settings_samples import FLUSH_POLICY
from worker.claimers import DuplicateError, EndedError
from worker.pipeline.stage import Stage
from worker.shutdown import HandedOverError, Shutdown


@pytest.mark.parametrize("token_s", [0.0, 0.02])
@pytest.mark.parametrize("at_s", [0.0, 0.001, 0.3, 0.33, 1.5, 2.0])
def test_attempt_that_hands_over_has_each_token_generated_once(at_s: float, token_s: float) -> None:
    tokens = [f"{number} " for number in range(100)]

    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        job = await harness.job()
        engine = ScriptedEngine(tokens, token_s=token_s)
        context = harness.context(engine, FLUSH_POLICY)
        running = asyncio.create_task(attempt(job, context))
        asyncio.get_running_loop().call_later(at_s, harness.shutdown.hand_over)
        try:
            await running
        except HandedOverError:
            assert now() == pytest.approx(at_s)
            context = replace(context, shutdown=Shutdown())
            assert await attempt(job, context) is Status.COMPLETED
        assert text_of(await harness.answered(job)) == "".join(tokens)
        assert engine.given == len(tokens)
        assert engine.running == 0
        assert not harness.metric("axon_tokens_regenerated_total", model="echo")

    run(story())


async def test_attempt_that_finishes_is_not_handed_over(harness: AttemptHarness) -> None:
    job = await harness.job()
    send = harness.history.send

    async def stop(record: HistoryRecord) -> None:
        harness.shutdown.hand_over()
        await send(record)

    harness.history.send = stop  # type: ignore[method-assign]
    assert await attempt(job, harness.context(ScriptedEngine(["a"]))) is Status.COMPLETED


WAITS = ("prefill", "slot", "retrieval")


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("reason", ["cancelled", "overdue", "claimed"])
def test_attempt_frees_its_slot_within_one_flush_before_the_first_token(
    wait: str, reason: str
) -> None:
    """A prefill of 20 s, a full engine, or turns that do not come: nothing is appended."""

    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        job = await harness.job()
        engine = ScriptedEngine(["a"], token_s=20 if wait == "prefill" else 0.0)
        context = harness.context(engine)
        never = asyncio.Event()

        async def hold(stage: Stage) -> None:
            async with stage.slot():
                await never.wait()

        blocked = {"slot": context.stages.infer, "retrieval": context.stages.retrieve}.get(wait)
        holders = [asyncio.create_task(hold(blocked)) for _ in range(4)] if blocked else []
        running = asyncio.create_task(attempt(job, context))
        await asyncio.sleep(5)
        assert not running.done()
        if reason == "claimed":
            await harness.valkey.claim(job.response_id, message_id="another")
        elif reason == "cancelled":
            await harness.terminator.end(job.response_id, Status.CANCELLED)
        else:
            await harness.terminator.end(job.response_id, Status.FAILED, error=OVERDUE)
        expected = DuplicateError if reason == "claimed" else EndedError
        with pytest.raises(expected):
            await running
        assert now() <= 5 + FENCE_S + 1e-6
        assert engine.running == 0
        stages = (context.stages.retrieve, context.stages.infer)
        assert sum(stage.running + stage.depth for stage in stages) == len(holders)
        for holder in holders:
            holder.cancel()

    run(story())


def test_attempt_frees_the_engine_while_the_terminator_takes_its_time() -> None:
    """The reply to an append says that somebody has claimed, but not yet who it was."""

    async def story() -> None:
        harness = AttemptHarness()
        await harness.begin()
        job = await harness.job()
        engine = ScriptedEngine(["a "] * 1000, token_s=0.05)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await asyncio.sleep(1)
        send = harness.history.send

        async def send_slowly(record: HistoryRecord) -> None:
            await asyncio.sleep(2)
            await send(record)

        harness.history.send = send_slowly  # type: ignore[method-assign]
        cancelling = asyncio.create_task(harness.terminator.end(job.response_id, Status.CANCELLED))
        await asyncio.sleep(0.05 + 3 * FENCE_S)
        assert engine.running == 0
        assert not cancelling.done()
        with pytest.raises(FencedError):
            await running
        await cancelling

    run(story())


class TestAttemptStopped:
    async def test_ends_at_the_clients_cancellation_between_deltas(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two ", "three"], token_s=0.001)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=5)
        engine.gate.clear()
        await harness.terminator.end(job.response_id, Status.CANCELLED)
        engine.gate.set()
        with pytest.raises(FencedError):
            await running
        assert engine.running == 0
        decoded = await harness.answered(job)
        assert decoded[-1]["response"]["status"] == "cancelled"

    async def test_ends_when_a_newer_attempt_claims_the_response(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        older = ScriptedEngine(["one ", "two ", "three"])
        older.gate.clear()
        running = asyncio.create_task(attempt(job, harness.context(older)))
        await eventually(lambda: older.running, interval_s=0)
        await attempt(job, harness.context(ScriptedEngine(["one ", "two ", "three"])))
        older.gate.set()
        with pytest.raises(FencedError):
            await running
        assert older.running == 0
        assert text_of(await harness.answered(job)) == "one two three"

    async def test_frees_the_engine_when_it_is_cancelled(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two "] * 100, token_s=0.001)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert engine.running == 0

    async def test_generates_nothing_if_the_response_has_ended(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        await harness.terminator.end(job.response_id, Status.CANCELLED)
        engine = ScriptedEngine(["a"])
        with pytest.raises(FencedError):
            await attempt(job, harness.context(engine))
        assert engine.requests == []

    async def test_generates_nothing_without_a_log(self, harness: AttemptHarness) -> None:
        with pytest.raises(MissingResponseError):
            await attempt(a_job(), harness.context(ScriptedEngine(["a"])))
