"""A worker over Valkey, PostgreSQL and SQS, in this process."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from axon.adapters.observability.probe import alive
from axon.event_log.log import Status
from local.ports import Ports
from tests.conftest import FAUXQS_FILE
from tests.contract.worker.engines.echo_upstream_stub import echo_upstream
from tests.integration.worker.conftest import VISIBILITY_S, WorkerHarness, text_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker import factories
from worker.engines.protocol import EngineDeadError, EngineError
from worker.models.host import ModelHost


async def test_worker_answers_a_request(harness: WorkerHarness) -> None:
    async with harness.worker():
        response_id = await harness.submit(input="hello wörld 🌍")
        decoded = await harness.ended(response_id)
        assert text_of(decoded) == "hello wörld 🌍"
        assert decoded[-1]["type"] == "response.completed"
        assert decoded[-1]["response"]["usage"]["output_tokens"] == 3
    await harness.done()
    assert harness.depth("history") == 1


async def test_worker_answers_more_requests_than_it_has_slots(harness: WorkerHarness) -> None:
    async with harness.worker(slots="3"):
        ids = [await harness.submit(input=f"count to {number}") for number in range(1, 21)]
        answers = [text_of(await harness.ended(response_id)) for response_id in ids]
    assert answers == [
        " ".join(str(word) for word in range(1, number + 1)) for number in range(1, 21)
    ]
    await harness.done()


async def test_worker_continues_a_conversation(harness: WorkerHarness) -> None:
    async with harness.worker():
        first = await harness.submit(input="one", store=False)
        await harness.ended(first)
        second = await harness.submit(input="two", previous_response_id=first)
        decoded = await harness.ended(second)
        assert text_of(decoded) == "two"
        assert decoded[-1]["response"]["usage"]["input_tokens"] == 3


async def test_worker_frees_the_slot_of_a_request_that_is_cancelled_before_its_first_token(
    harness: WorkerHarness,
) -> None:
    async with harness.worker(slots="1", echo_ttft_ms="20000"):
        response_id = await harness.submit(input="hello")
        await harness.logged(response_id, count=2)
        began = time.monotonic()
        await harness.terminator.end(response_id, Status.CANCELLED)
        await harness.done()  # the job is deleted once its attempt has ended
        assert time.monotonic() - began < 2


async def test_worker_frees_the_slot_of_a_cancelled_request_at_once(harness: WorkerHarness) -> None:
    async with harness.worker(slots="1", echo_token_ms="20"):
        long = await harness.submit(input="count to 1000")
        await harness.logged(long, count=6)
        await harness.terminator.end(long, Status.CANCELLED)
        short = await harness.submit(input="next")
        began = time.monotonic()
        assert text_of(await harness.ended(short)) == "next"
        assert time.monotonic() - began < 2
        cancelled = (await harness.ended(long))[-1]["response"]
        assert cancelled["status"] == "cancelled"
        assert cancelled["usage"]["input_tokens"] == 3
        assert cancelled["usage"]["output_tokens"] >= 1
    await harness.done()


async def test_worker_keeps_the_job_of_a_long_answer(harness: WorkerHarness) -> None:
    async with harness.worker(echo_token_ms="50"):
        response_id = await harness.submit(input="count to 90")
        decoded = await harness.ended(response_id)
        meta = await harness.log.describe(response_id)
        assert meta is not None
        assert meta.epoch == 1
        assert text_of(decoded).endswith(" 90")


async def test_worker_that_stops_lets_answers_end_and_leaves_other_jobs(
    harness: WorkerHarness,
) -> None:
    async with harness.worker(slots="1", echo_token_ms="20"):
        running = await harness.submit(input="count to 50")
        await harness.logged(running, count=6)
        waiting = await harness.submit(input="later")
    meta = await harness.log.describe(running)
    assert meta is not None
    assert meta.status is Status.COMPLETED
    assert (await harness.log.describe(waiting) or meta).status is Status.QUEUED
    async with harness.worker():
        assert text_of(await harness.ended(waiting)) == "later"


@pytest.mark.parametrize("fauxqs", ["memory", FAUXQS_FILE], indirect=True)
async def test_worker_that_stops_hands_long_answers_over(harness: WorkerHarness) -> None:
    async with harness.worker(slots="1", echo_token_ms="20", stop_timeout_s="0.2"):
        response_id = await harness.submit(input="count to 100")
        await harness.logged(response_id, count=6)
    async with harness.worker(echo_token_ms="1"):
        decoded = await harness.ended(response_id)
    assert text_of(decoded) == " ".join(map(str, range(1, 101)))
    meta = await harness.log.describe(response_id)
    assert meta is not None
    assert meta.epoch == 2


async def test_worker_ends_with_a_dead_engine_and_another_continues(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ScriptedEngine(["one", " two"], failures=[(1, EngineDeadError("gone"))])
    with monkeypatch.context() as patch:
        patch.setattr(factories, "create_engine", lambda **_: engine)
        response_id = await harness.submit(input="one two three")
        with pytest.raises(EngineDeadError):
            async with harness.worker() as serving, asyncio.timeout(20):
                await serving
    began = time.monotonic()
    async with harness.worker():
        decoded = await harness.ended(response_id)
    assert time.monotonic() - began < VISIBILITY_S
    assert text_of(decoded) == "one two three"


async def test_worker_passes_the_configured_model_to_vllm(
    harness: WorkerHarness, tmp_path: Path
) -> None:
    settings = {"engine": "vllm", "model_name": "m", "model_uri": str(tmp_path)}
    with pytest.raises(EngineError, match=f"{tmp_path} is no model"):
        async with harness.worker(**settings) as serving, asyncio.timeout(20):
            await serving


async def test_worker_without_jobs_stops_at_once(harness: WorkerHarness) -> None:
    async with harness.worker():
        await harness.ended(await harness.submit())
        began = time.monotonic()
    assert time.monotonic() - began < 2


async def test_worker_serves_its_health(harness: WorkerHarness) -> None:
    with Ports() as ports:
        port = ports.reserve()
        async with harness.worker(health_port=str(port)):
            await harness.ended(await harness.submit())
            assert await asked(port, "/health") == (
                200,
                {"status": "ok", "models": ["echo"], "running": 0},
            )


@pytest.mark.parametrize(("engine", "status"), [("openai", 200), ("echo", 503)])
async def test_worker_is_alive_without_its_upstream_but_not_without_its_engine(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch, engine: str, status: int
) -> None:
    """A new task would not bring an upstream back; it would replace a dead engine."""

    healthy = asyncio.Event()
    healthy.set()

    async def health(_: ModelHost) -> bool:
        return healthy.is_set()

    monkeypatch.setattr(ModelHost, "health", health)
    async with echo_upstream() as upstream:
        with Ports() as ports:
            port = ports.reserve()
            async with harness.worker(
                health_port=str(port), engine=engine, upstream_url=upstream.url
            ):
                async with asyncio.timeout(20):
                    while not await asyncio.to_thread(alive, port):
                        await asyncio.sleep(0.01)
                healthy.clear()
                assert (await asked(port, "/health"))[0] == 503
                assert (await asked(port, "/live"))[0] == status


async def asked(port: int, path: str) -> tuple[int, dict[str, object]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.json()


async def test_workers_share_the_jobs_and_run_none_twice(harness: WorkerHarness) -> None:
    async with harness.worker(slots="2"), harness.worker(slots="2"):
        ids = await asyncio.gather(*(harness.submit(input=f"count to {n}") for n in range(1, 31)))
        for response_id in ids:
            await harness.ended(response_id)
            meta = await harness.log.describe(response_id)
            assert meta is not None
            assert meta.epoch == 1
    assert harness.depth("history") == 30
