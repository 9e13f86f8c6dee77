"""Telemetry of a worker: metrics, traces, and its protection in ECS."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from axon.adapters.aws.sqs import SqsHistorySender, SqsJobQueue
from axon.event_log.log import Status
from axon.jobs import ReceivedJob
from tests.integration.worker.conftest import WorkerHarness, text_of
from tests.unit.axon.adapters.aws.ecs_agent_stub import ecs_agent_stand_in
from tests.unit.axon.adapters.observability.otlp_collector_stub import Collector, otlp_collector
from worker.cluster import task_protection

TRACE, PARENT = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
ON = {"ProtectionEnabled": True, "ExpiresInMinutes": 30}
OFF = {"ProtectionEnabled": False}


async def test_telemetry_serves_metrics(harness: WorkerHarness, unused_tcp_port: int) -> None:
    async def told() -> set[str]:
        url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
            return set((await answer.text()).splitlines())

    async def tells(*lines: str) -> None:
        async with asyncio.timeout(10):
            while not set(lines) <= await told():
                await asyncio.sleep(0.01)

    async with harness.worker(slots="3", echo_token_ms="20", health_port=str(unused_tcp_port)):
        long = await harness.submit(input="count to 500")
        await harness.logged(long, count=6)
        await tells("axon_worker_slots 3.0", "axon_worker_slots_used 1.0")
        await harness.ended(await harness.submit(input="one two three"))
        await harness.terminator.end(long, Status.CANCELLED)
        await tells(
            "axon_worker_slots_used 0.0",
            'axon_jobs_total{outcome="completed"} 1.0',
            'axon_jobs_total{outcome="cancelled"} 1.0',
            'axon_jobs_total{outcome="failed"} 0.0',
            "axon_time_to_first_token_seconds_count 2.0",
            'axon_inference_tokens_total{kind="input",model="echo"} 6.0',
        )


class Traced:
    """Has the queue say what a traced submitter would have it say: the local one loses it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sampled = 1
        self.sent: list[str | None] = []
        receive, send = SqsJobQueue.receive, SqsHistorySender.send

        async def received(queue: SqsJobQueue, *, limit: int) -> Sequence[ReceivedJob]:
            header = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT};Sampled={self.sampled}"
            messages = await receive(queue, limit=limit)
            return [replace(received, trace_header=header) for received in messages]

        async def sending(sender: SqsHistorySender, record: Any) -> None:
            self.sent.append(sender._trace_header())
            await send(sender, record)

        patch.setattr(SqsJobQueue, "receive", received)
        patch.setattr(SqsHistorySender, "send", sending)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    return Traced(monkeypatch)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with otlp_collector() as collector:
        yield collector


async def test_telemetry_makes_one_trace_of_a_request(
    harness: WorkerHarness, traced: Traced, collector: Collector
) -> None:
    async with harness.worker(otlp_endpoint=collector.endpoint):
        response_id = await harness.submit(input="hello")
        await harness.ended(response_id)
    assert sorted(span.name for span in collector.spans) == ["assemble", "generate", "job"]
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert {span.service for span in collector.spans} == {"axon-worker"}
    job = collector.named("job")
    assert job.parent_id == PARENT
    assert job.attributes == {
        "response_id": response_id,
        "model": "echo",
        "epoch": 1,
        "outcome": "completed",
    }
    assert collector.named("assemble").parent_id == job.span_id
    generate = collector.named("generate")
    assert generate.parent_id == job.span_id
    first_token_s = generate.attributes["first_token_s"]
    assert isinstance(first_token_s, float)
    assert 0 <= first_token_s < 10
    assert traced.sent == [f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={job.span_id};Sampled=1"]


async def test_telemetry_exports_no_span_that_is_not_sampled(
    harness: WorkerHarness, traced: Traced, collector: Collector
) -> None:
    traced.sampled = 0
    async with harness.worker(otlp_endpoint=collector.endpoint):
        await harness.ended(await harness.submit())
    assert collector.spans == []
    assert traced.sent == [None]


async def test_telemetry_without_a_collector_changes_nothing(
    harness: WorkerHarness, traced: Traced
) -> None:
    async with harness.worker(otlp_endpoint="http://127.0.0.1:1"):
        for _ in range(10):
            assert text_of(await harness.ended(await harness.submit(input="hello"))) == "hello"
        began = time.monotonic()
    assert time.monotonic() - began < 5
    await harness.done()
    assert len(traced.sent) == 10


async def test_task_protection_holds_while_there_are_jobs(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_protection, "IDLE_S", 0.3)
    monkeypatch.setattr(task_protection, "RENEW_S", 0.5)
    monkeypatch.setattr(task_protection, "RETRY_S", 0.05)
    async with ecs_agent_stand_in() as agent:
        agent.failures = [(500, b"no"), (200, b'{"failure": {"Reason": "TASK_NOT_VALID"}}')]
        async with harness.worker(agent_uri=agent.uri, echo_token_ms="20"):
            assert agent.asked == []
            await harness.ended(await harness.submit(input="count to 50"))  # for a second
            await agent.was_asked(5)
            while OFF not in agent.asked:
                await asyncio.sleep(0.01)
            assert agent.asked[:4] == [ON] * 4  # two failed, one worked, one renewed it
            assert agent.asked[-1] == OFF
            before = len(agent.asked)
            await harness.ended(await harness.submit())
            await agent.was_asked(before + 1)
            assert agent.asked[before] == ON


async def test_task_protection_without_an_agent_stops_no_job(harness: WorkerHarness) -> None:
    async with harness.worker(agent_uri="http://127.0.0.1:1"):
        assert text_of(await harness.ended(await harness.submit(input="hello"))) == "hello"
