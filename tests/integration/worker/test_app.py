"""A worker over Valkey, PostgreSQL and SQS, in this process."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from axon.event_log.log import Status
from local.ports import Ports
from tests.integration.worker.conftest import TENANT, VISIBILITY_S, World, text_of
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker import factories
from worker.engines.protocol import EngineDeadError, EngineError


async def test_a_request_is_answered(world: World) -> None:
    async with world.worker():
        response_id = await world.submit(input="hello wörld 🌍")
        decoded = await world.ended(response_id)
        assert text_of(decoded) == "hello wörld 🌍"
        assert decoded[-1]["type"] == "response.completed"
        assert decoded[-1]["response"]["usage"]["output_tokens"] == 3
    await world.done()
    assert world.depth("history") == 1


async def test_more_requests_than_slots_are_all_answered(world: World) -> None:
    async with world.worker(slots="3"):
        ids = [await world.submit(input=f"count to {number}") for number in range(1, 21)]
        answers = [text_of(await world.ended(response_id)) for response_id in ids]
    assert answers == [
        " ".join(str(word) for word in range(1, number + 1)) for number in range(1, 21)
    ]
    await world.done()


async def test_a_conversation(world: World) -> None:
    async with world.worker():
        first = await world.submit(input="one", store=False)
        await world.ended(first)
        second = await world.submit(input="two", previous_response_id=first)
        decoded = await world.ended(second)
        assert text_of(decoded) == "two"
        assert decoded[-1]["response"]["usage"]["input_tokens"] == 3


async def test_a_cancelled_request_frees_its_slot_at_once(world: World) -> None:
    async with world.worker(slots="1", echo_token_ms="20"):
        long = await world.submit(input="count to 1000")
        await world.logged(long, count=6)
        await world.terminator.cancel(long, tenant_id=TENANT)
        short = await world.submit(input="next")
        began = time.monotonic()
        assert text_of(await world.ended(short)) == "next"
        assert time.monotonic() - began < 2
        assert (await world.ended(long))[-1]["response"]["status"] == "cancelled"
    await world.done()


async def test_a_long_answer_keeps_its_job(world: World) -> None:
    async with world.worker(echo_token_ms="50"):
        response_id = await world.submit(input="count to 90")
        decoded = await world.ended(response_id)
        meta = await world.log.describe(response_id)
        assert meta is not None
        assert meta.epoch == 1
        assert text_of(decoded).endswith(" 90")


async def test_stopping_lets_what_runs_end_and_leaves_the_rest(world: World) -> None:
    async with world.worker(slots="1", echo_token_ms="20"):
        running = await world.submit(input="count to 50")
        await world.logged(running, count=6)
        waiting = await world.submit(input="later")
    meta = await world.log.describe(running)
    assert meta is not None
    assert meta.status is Status.COMPLETED
    assert (await world.log.describe(waiting) or meta).status is Status.QUEUED
    async with world.worker():
        assert text_of(await world.ended(waiting)) == "later"


async def test_stopping_in_time_hands_what_runs_to_another(world: World) -> None:
    async with world.worker(slots="1", echo_token_ms="20", stop_timeout_s="0.2"):
        response_id = await world.submit(input="count to 100")
        await world.logged(response_id, count=6)
    async with world.worker(echo_token_ms="1"):
        decoded = await world.ended(response_id)
    assert text_of(decoded) == " ".join(map(str, range(1, 101)))
    meta = await world.log.describe(response_id)
    assert meta is not None
    assert meta.epoch == 2


async def test_a_dead_engine_ends_the_worker_and_another_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ScriptedEngine(["one", " two"], failures=[(1, EngineDeadError("gone"))])
    with monkeypatch.context() as patch:
        patch.setattr(factories, "create_engine", lambda **_: engine)
        response_id = await world.submit(input="one two three")
        with pytest.raises(EngineDeadError):
            async with world.worker() as serving, asyncio.timeout(20):
                await serving
    began = time.monotonic()
    async with world.worker():
        decoded = await world.ended(response_id)
    assert time.monotonic() - began < VISIBILITY_S
    assert text_of(decoded) == "one two three"


async def test_vllm_gets_the_model_that_the_settings_name(world: World, tmp_path: Path) -> None:
    settings = {"engine": "vllm", "model_name": "m", "model_uri": str(tmp_path)}
    with pytest.raises(EngineError, match=f"{tmp_path} is no model"):
        async with world.worker(**settings) as serving, asyncio.timeout(20):
            await serving


async def test_an_idle_worker_stops_at_once(world: World) -> None:
    async with world.worker():
        await world.ended(await world.submit())
        began = time.monotonic()
    assert time.monotonic() - began < 2


async def test_health(world: World) -> None:
    with Ports() as ports:
        port = ports.reserve()
        async with world.worker(health_port=str(port)):
            await world.ended(await world.submit())
            url = f"http://127.0.0.1:{port}/health"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                assert answer.status == 200
                body = await answer.json()
    assert body == {"status": "ok", "models": ["echo"], "running": 0}


async def test_two_workers_share_the_work_and_do_nothing_twice(world: World) -> None:
    async with world.worker(slots="2"), world.worker(slots="2"):
        ids = await asyncio.gather(*(world.submit(input=f"count to {n}") for n in range(1, 31)))
        for response_id in ids:
            await world.ended(response_id)
            meta = await world.log.describe(response_id)
            assert meta is not None
            assert meta.epoch == 1
    assert world.depth("history") == 30
