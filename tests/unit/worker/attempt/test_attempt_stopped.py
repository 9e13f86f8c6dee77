"""Attempts that are cancelled, overtaken or never begun."""

import asyncio
from dataclasses import replace

import pytest

from axon.event_log.log import Status
from axon.exceptions import FencedError, MissingResponseError
from axon.history import HistoryRecord
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import TENANT, a_job
from tests.unit.worker.attempt.attempt_harness import Workplace, attempt, text_of, until_logged
from tests.unit.worker.default_settings import FLUSH_POLICY
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.shutdown import HandedOverError, Shutdown


@pytest.mark.parametrize("token_s", [0.0, 0.02])
@pytest.mark.parametrize("at_s", [0.0, 0.001, 0.3, 0.33, 1.5, 2.0])
def test_what_is_handed_over_is_generated_once(at_s: float, token_s: float) -> None:
    tokens = [f"{number} " for number in range(100)]

    async def story() -> None:
        world = Workplace()
        await world.begin()
        job = await world.job()
        engine = ScriptedEngine(tokens, token_s=token_s)
        services = world.services(engine, FLUSH_POLICY)
        running = asyncio.create_task(attempt(job, services))
        asyncio.get_running_loop().call_later(at_s, world.shutdown.hand_over)
        try:
            await running
        except HandedOverError:
            assert now() == pytest.approx(at_s)
            services = replace(services, shutdown=Shutdown())
            assert await attempt(job, services) is Status.COMPLETED
        assert text_of(await world.answered(job)) == "".join(tokens)
        assert engine.given == len(tokens)
        assert engine.running == 0
        assert not world.told("axon_tokens_regenerated_total", model="echo")

    run(story())


async def test_what_is_nearly_done_is_not_handed_over(world: Workplace) -> None:
    job = await world.job()
    send = world.history.send

    async def stop(record: HistoryRecord) -> None:
        world.shutdown.hand_over()
        await send(record)

    world.history.send = stop  # type: ignore[method-assign]
    assert await attempt(job, world.services(ScriptedEngine(["a"]))) is Status.COMPLETED


class TestStopped:
    async def test_cancelled_by_the_client_amid_text(self, world: Workplace) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two ", "three"], token_s=0.001)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await until_logged(world, job, count=5)
        engine.gate.clear()
        await world.terminator.cancel(job.response_id, tenant_id=TENANT)
        engine.gate.set()
        with pytest.raises(FencedError):
            await running
        assert engine.running == 0
        decoded = await world.answered(job)
        assert decoded[-1]["response"]["status"] == "cancelled"

    async def test_overtaken_by_a_newer_attempt(self, world: Workplace) -> None:
        job = await world.job()
        older = ScriptedEngine(["one ", "two ", "three"])
        older.gate.clear()
        running = asyncio.create_task(attempt(job, world.services(older)))
        async with asyncio.timeout(5):
            while not older.running:
                await asyncio.sleep(0)
        await attempt(job, world.services(ScriptedEngine(["one ", "two ", "three"])))
        older.gate.set()
        with pytest.raises(FencedError):
            await running
        assert older.running == 0
        assert text_of(await world.answered(job)) == "one two three"

    async def test_cancelling_the_attempt_frees_the_engine(self, world: Workplace) -> None:
        job = await world.job()
        engine = ScriptedEngine(["one ", "two "] * 100, token_s=0.001)
        running = asyncio.create_task(attempt(job, world.services(engine)))
        await until_logged(world, job, count=5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert engine.running == 0

    async def test_what_has_ended_is_not_begun(self, world: Workplace) -> None:
        job = await world.job()
        await world.terminator.cancel(job.response_id, tenant_id=TENANT)
        engine = ScriptedEngine(["a"])
        with pytest.raises(FencedError):
            await attempt(job, world.services(engine))
        assert engine.requests == []

    async def test_what_is_not_in_the_log_is_not_begun(self, world: Workplace) -> None:
        with pytest.raises(MissingResponseError):
            await attempt(a_job(), world.services(ScriptedEngine(["a"])))
