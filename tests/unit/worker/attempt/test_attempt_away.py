"""Attempts while context are away or lose what they had, in virtual time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.event_log.log import Status
from axon.exceptions import FencedError, MissingResponseError, StoreFullError, UnavailableError
from tests.support.principals import a_principal
from tests.support.virtual_time import now, run
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.axon.samples import CONNECTION, TENANT
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt, text_of, until_logged
from tests.unit.worker.attempt.faulty_event_log_stub import Fault, going_wrong
from tests.unit.worker.scripted_engine_stub import ScriptedEngine

TOKENS = [f"{number} " for number in range(12)]
FAULTS = st.lists(st.sampled_from(Fault), max_size=30)


async def a_harness() -> AttemptHarness:
    harness = AttemptHarness()
    await harness.begin()
    return harness


def logged_ids(harness: AttemptHarness, response_id: str) -> list[int]:
    events = harness.valkey._logs[response_id].events
    return [token for event in events for token in event.token_ids]


@settings(max_examples=60)
@given(faults=FAULTS, token_s=st.sampled_from([0.0, 0.02, 0.7]))
def test_attempt_completes_the_answer_whatever_fails(
    faults: Sequence[Fault], token_s: float
) -> None:
    async def story() -> None:
        harness = await a_harness()
        job = await harness.job(input="one two")
        engine = ScriptedEngine(TOKENS, token_s=token_s)
        with going_wrong(harness, faults):
            status = await attempt(job, harness.context(engine), untouched=True)
        assert status is Status.COMPLETED
        assert text_of(await harness.answered(job)) == "".join(TOKENS)
        assert logged_ids(harness, job.response_id) == [100 + n for n in range(len(TOKENS))]
        assert engine.given == len(TOKENS)
        record = harness.history.records[job.response_id]
        assert record.response["status"] == "completed"

    run(story())


@pytest.mark.parametrize(
    ("away_s", "error"),
    [(1, UnavailableError("away")), (60, UnavailableError("away")), (60, StoreFullError("full"))],
)
def test_attempt_generates_nothing_again_after_an_outage_of_valkey(
    away_s: float, error: Exception
) -> None:
    async def story() -> None:
        harness = await a_harness()
        job = await harness.job()
        append = harness.valkey.append
        harness.clock_ms = job.created_ms

        async def away(*args: Any, **kwargs: Any) -> str:
            if 0.5 < now() < 0.5 + away_s:
                raise error
            return await append(*args, **kwargs)

        harness.valkey.append = away  # type: ignore[method-assign]
        engine = ScriptedEngine(TOKENS, token_s=0.1)
        await attempt(job, harness.context(engine))
        assert text_of(await harness.answered(job)) == "".join(TOKENS)
        assert engine.given == len(TOKENS)
        assert len(engine.requests) == 1
        assert harness.metric("axon_tokens_regenerated_total", model="echo") is None

    run(story())


def test_attempt_waits_for_the_conversation_and_the_history() -> None:
    async def story() -> None:
        harness = await a_harness()
        parent = await harness.job(input="one", store=False)
        await attempt(parent, harness.context(ScriptedEngine(["first"])))
        job = await harness.job(input="two", previous_response_id=parent.response_id)
        chain, put = harness.turns.chain, harness.turns.put

        async def away(*_: object) -> Any:
            raise UnavailableError("away")

        gone: Any = away
        harness.turns.chain = gone  # type: ignore[method-assign]
        harness.turns.put = gone  # type: ignore[method-assign]
        harness.history.fail_with = UnavailableError("away")
        running = asyncio.create_task(attempt(job, harness.context(ScriptedEngine(["second"]))))
        await asyncio.sleep(30)
        harness.turns.chain = chain  # type: ignore[method-assign]
        await asyncio.sleep(30)
        assert await harness.status(job.response_id) is Status.IN_PROGRESS
        harness.history.fail_with = None
        await asyncio.sleep(30)
        assert await harness.status(job.response_id) is Status.IN_PROGRESS
        harness.turns.put = put  # type: ignore[method-assign]
        assert await running is Status.COMPLETED
        assert text_of(await harness.answered(job)) == "second"
        assert job.response_id in harness.history.records
        assert job.response_id in harness.turns.turns

    run(story())


def test_attempt_of_a_draining_worker_does_not_wait_for_valkey() -> None:
    async def story() -> None:
        harness = await a_harness()
        job = await harness.job()
        engine = ScriptedEngine(TOKENS, token_s=0.1)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await asyncio.sleep(0.55)
        with going_wrong(harness, [Fault.UNSENT] * 1000):
            await asyncio.sleep(0.3)
            harness.shutdown.drain()
            with pytest.raises(UnavailableError):
                await running
        assert engine.given == 8
        assert harness.metric("axon_tokens_regenerated_total", model="echo") == 3
        assert engine.running == 0

    run(story())


class TestAttemptWithLostLog:
    async def test_restores_the_log_for_the_current_connection(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two ", "three"])
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=5)
        await harness.valkey.register("elsewhere", principal=a_principal(TENANT))
        await harness.valkey.resume(
            job.response_id, tenant_id=TENANT, connection_id="elsewhere", first=2
        )
        engine.pass_(1)
        await until_logged(harness, job, count=6)
        before = await harness.valkey.read(job.response_id)
        harness.valkey.lose()
        engine.pass_(10)
        assert await running is Status.COMPLETED
        assert (await harness.valkey.read(job.response_id))[:6] == before
        meta = await harness.valkey.describe(job.response_id)
        assert meta is not None
        assert (meta.connection_id, meta.epoch) == ("elsewhere", 1)
        assert not meta.checkpoint.certain
        assert text_of(await harness.answered(job)) == "one two three"

    async def test_restores_the_log_of_a_first_receive(self, harness: AttemptHarness) -> None:
        job = await harness.job()
        harness.valkey.lose()
        status = await attempt(job, harness.context(ScriptedEngine(["a"])), untouched=True)
        assert status is Status.COMPLETED
        assert text_of(await harness.answered(job)) == "a"
        meta = await harness.valkey.describe(job.response_id)
        assert meta is not None
        assert (meta.tenant_id, meta.connection_id) == (TENANT, CONNECTION)

    async def test_does_not_restore_events_that_a_client_may_have(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        harness.valkey.lose()
        engine = ScriptedEngine(["a"])
        with pytest.raises(MissingResponseError):
            await attempt(job, harness.context(engine))
        assert engine.requests == []
        assert await harness.valkey.describe(job.response_id) is None

    async def test_does_not_restore_a_log_lost_after_the_claim(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        await harness.say(job.response_id, "some")
        with going_wrong(harness, [Fault.NONE, Fault.LOST]), pytest.raises(MissingResponseError):
            await attempt(job, harness.context(ScriptedEngine(["a"])), untouched=True)

    async def test_adds_nothing_to_a_restored_log_with_an_older_epoch(
        self, harness: AttemptHarness
    ) -> None:
        """Both have a first receive of the job, and the second has restored the log."""
        job = await harness.job()
        older = ScriptedEngine(["alpha ", "beta ", "gamma"])
        older.pass_(2)
        running = asyncio.create_task(attempt(job, harness.context(older), untouched=True))
        await until_logged(harness, job, count=6)
        harness.valkey.lose()
        newer = ScriptedEngine(["one ", "two ", "three"])
        assert await attempt(job, harness.context(newer), untouched=True) is Status.COMPLETED
        older.pass_(10)
        with pytest.raises(FencedError):
            await running
        assert text_of(await harness.answered(job)) == "one two three"

    async def test_does_not_restore_the_log_when_it_is_fenced(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two"])
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=5)
        await harness.valkey.claim(job.response_id, message_id="another")
        with going_wrong(harness, [Fault.NONE, Fault.LOST]):
            engine.pass_(1)
            with pytest.raises(MissingResponseError):
                await running
        assert await harness.valkey.describe(job.response_id) is None

    async def test_does_not_restore_the_log_after_the_deadline(
        self, harness: AttemptHarness
    ) -> None:
        job = await harness.job()
        engine = ScriptedEngine(["one ", "two"])
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, harness.context(engine)))
        await until_logged(harness, job, count=5)
        harness.clock_ms = job.deadline_ms(DEADLINE_S)
        harness.valkey.lose()
        engine.pass_(10)
        with pytest.raises(MissingResponseError):
            await running
        assert await harness.valkey.describe(job.response_id) is None

    def test_waits_for_a_relay_before_it_restores_the_log(self) -> None:
        async def story() -> None:
            harness = await a_harness()
            job = await harness.job()
            engine = ScriptedEngine(TOKENS, token_s=0.1)
            running = asyncio.create_task(attempt(job, harness.context(engine)))
            await asyncio.sleep(0.55)
            harness.valkey.lose()
            await harness.valkey.end_lease("relay")
            await asyncio.sleep(40)
            assert await harness.valkey.describe(job.response_id) is None
            await harness.valkey.heartbeat("relay", lease_s=10_000)
            assert await running is Status.COMPLETED
            assert text_of(await harness.answered(job)) == "".join(TOKENS)

        run(story())
