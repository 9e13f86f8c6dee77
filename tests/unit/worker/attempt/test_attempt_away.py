"""Attempts while services are away or lose what they had, in virtual time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.event_log.log import Status
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from tests.support.principals import a_principal
from tests.support.virtual_time import now, run
from tests.unit.axon.responses.service_harness import DEADLINE_S
from tests.unit.axon.samples import CONNECTION, TENANT
from tests.unit.worker.attempt.attempt_harness import Workplace, attempt, text_of, until_logged
from tests.unit.worker.attempt.faulty_event_log import Fault, going_wrong
from tests.unit.worker.scripted_engine import ScriptedEngine

TOKENS = [f"{number} " for number in range(12)]
FAULTS = st.lists(st.sampled_from(Fault), max_size=30)


async def a_workplace() -> Workplace:
    world = Workplace()
    await world.begin()
    return world


def logged_ids(world: Workplace, response_id: str) -> list[int]:
    events = world.valkey._logs[response_id].events
    return [token for event in events for token in event.token_ids]


@settings(max_examples=60)
@given(faults=FAULTS, token_s=st.sampled_from([0.0, 0.02, 0.7]))
def test_whatever_goes_wrong_the_answer_is_whole(faults: Sequence[Fault], token_s: float) -> None:
    async def story() -> None:
        world = await a_workplace()
        job = await world.job(input="one two")
        engine = ScriptedEngine(TOKENS, token_s=token_s)
        with going_wrong(world, faults):
            status = await attempt(job, world.services(engine), untouched=True)
        assert status is Status.COMPLETED
        assert text_of(await world.answered(job)) == "".join(TOKENS)
        assert logged_ids(world, job.response_id) == [100 + n for n in range(len(TOKENS))]
        assert engine.given == len(TOKENS)
        record = world.history.records[job.response_id]
        assert record.response["status"] == "completed"

    run(story())


@pytest.mark.parametrize("away_s", [1, 60])
def test_nothing_is_generated_again_when_valkey_is_back(away_s: float) -> None:
    async def story() -> None:
        world = await a_workplace()
        job = await world.job()
        append = world.valkey.append
        world.clock_ms = job.created_ms

        async def away(*args: Any, **kwargs: Any) -> str:
            if 0.5 < now() < 0.5 + away_s:
                raise UnavailableError("away")
            return await append(*args, **kwargs)

        world.valkey.append = away  # type: ignore[method-assign]
        engine = ScriptedEngine(TOKENS, token_s=0.1)
        await attempt(job, world.services(engine))
        assert text_of(await world.answered(job)) == "".join(TOKENS)
        assert engine.given == len(TOKENS)
        assert len(engine.requests) == 1
        assert world.told("axon_tokens_regenerated_total", model="echo") is None

    run(story())


def test_the_conversation_and_the_history_are_waited_for() -> None:
    async def story() -> None:
        world = await a_workplace()
        parent = await world.job(input="one", store=False)
        await attempt(parent, world.services(ScriptedEngine(["first"])))
        job = await world.job(input="two", previous_response_id=parent.response_id)
        chain, put = world.turns.chain, world.turns.put

        async def away(*_: object) -> Any:
            raise UnavailableError("away")

        gone: Any = away
        world.turns.chain = gone  # type: ignore[method-assign]
        world.turns.put = gone  # type: ignore[method-assign]
        world.history.fail_with = UnavailableError("away")
        running = asyncio.create_task(attempt(job, world.services(ScriptedEngine(["second"]))))
        await asyncio.sleep(30)
        world.turns.chain = chain  # type: ignore[method-assign]
        await asyncio.sleep(30)
        assert await world.status(job.response_id) is Status.IN_PROGRESS
        world.history.fail_with = None
        await asyncio.sleep(30)
        assert await world.status(job.response_id) is Status.IN_PROGRESS
        world.turns.put = put  # type: ignore[method-assign]
        assert await running is Status.COMPLETED
        assert text_of(await world.answered(job)) == "second"
        assert job.response_id in world.history.records
        assert job.response_id in world.turns.turns

    run(story())


def test_a_draining_worker_does_not_wait() -> None:
    async def story() -> None:
        world = await a_workplace()
        job = await world.job()
        engine = ScriptedEngine(TOKENS, token_s=0.1)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await asyncio.sleep(0.55)
        with going_wrong(world, [Fault.UNSENT] * 1000):
            await asyncio.sleep(0.3)
            world.shutdown.drain()
            with pytest.raises(UnavailableError):
                await running
        assert engine.given == 8
        assert world.told("axon_tokens_regenerated_total", model="echo") == 3
        assert engine.running == 0

    run(story())


class TestLost:
    async def test_the_log_is_made_again_for_whom_waits_now(self, world: Workplace) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two ", "three"])
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await until_logged(world, job, count=5)
        await world.valkey.register("elsewhere", principal=a_principal(TENANT))
        await world.valkey.resume(
            job.response_id, tenant_id=TENANT, connection_id="elsewhere", first=2
        )
        engine.pass_(1)
        await until_logged(world, job, count=6)
        before = await world.valkey.read(job.response_id)
        world.valkey.lose()
        engine.pass_(10)
        assert await running is Status.COMPLETED
        assert (await world.valkey.read(job.response_id))[:6] == before
        meta = await world.valkey.describe(job.response_id)
        assert meta is not None
        assert (meta.connection_id, meta.epoch) == ("elsewhere", 1)
        assert not meta.checkpoint.certain
        assert text_of(await world.answered(job)) == "one two three"

    async def test_a_job_that_nobody_had_begins_anew(self, world: Workplace) -> None:
        job = await world.job()
        world.valkey.lose()
        status = await attempt(job, world.services(ScriptedEngine(["a"])), untouched=True)
        assert status is Status.COMPLETED
        assert text_of(await world.answered(job)) == "a"
        meta = await world.valkey.describe(job.response_id)
        assert meta is not None
        assert (meta.tenant_id, meta.connection_id) == (TENANT, CONNECTION)

    async def test_what_somebody_may_have_been_told_does_not(self, world: Workplace) -> None:
        job = await world.job()
        world.valkey.lose()
        engine = ScriptedEngine(["a"])
        with pytest.raises(MissingResponseError):
            await attempt(job, world.services(engine))
        assert engine.requests == []
        assert await world.valkey.describe(job.response_id) is None

    async def test_nor_what_was_lost_after_the_claim(self, world: Workplace) -> None:
        job = await world.job()
        await world.say(job.response_id, "some")
        with going_wrong(world, [Fault.NONE, Fault.LOST]), pytest.raises(MissingResponseError):
            await attempt(job, world.services(ScriptedEngine(["a"])), untouched=True)

    async def test_an_older_attempt_does_not_mix_in(self, world: Workplace) -> None:
        """Both have a first delivery of the job, and the log was made anew by the second."""
        job = await world.job()
        older = ScriptedEngine(["alpha ", "beta ", "gamma"])
        older.pass_(2)
        running = asyncio.create_task(attempt(job, world.services(older), untouched=True))
        await until_logged(world, job, count=6)
        world.valkey.lose()
        newer = ScriptedEngine(["one ", "two ", "three"])
        assert await attempt(job, world.services(newer), untouched=True) is Status.COMPLETED
        older.pass_(10)
        with pytest.raises(FencedError):
            await running
        assert text_of(await world.answered(job)) == "one two three"

    async def test_who_was_fenced_off_before_does_not_make_it_again(self, world: Workplace) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two"])
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await until_logged(world, job, count=5)
        await world.say(job.response_id, "more")
        with going_wrong(world, [Fault.NONE, Fault.LOST]):
            engine.pass_(1)
            with pytest.raises(MissingResponseError):
                await running
        assert await world.valkey.describe(job.response_id) is None

    async def test_past_the_deadline_it_has_ended_and_is_forgotten(self, world: Workplace) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two"])
        engine.pass_(1)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await until_logged(world, job, count=5)
        world.clock_ms = job.deadline_ms(DEADLINE_S)
        world.valkey.lose()
        engine.pass_(10)
        with pytest.raises(MissingResponseError):
            await running
        assert await world.valkey.describe(job.response_id) is None

    def test_a_relay_is_waited_for(self) -> None:
        async def story() -> None:
            world = await a_workplace()
            job = await world.job()
            engine = ScriptedEngine(TOKENS, token_s=0.1)
            running = asyncio.create_task(attempt(job, world.services(engine)))
            await asyncio.sleep(0.55)
            world.valkey.lose()
            await world.valkey.end_lease("relay")
            await asyncio.sleep(40)
            assert await world.valkey.describe(job.response_id) is None
            await world.valkey.heartbeat("relay", lease_s=10_000)
            assert await running is Status.COMPLETED
            assert text_of(await world.answered(job)) == "".join(TOKENS)

        run(story())
