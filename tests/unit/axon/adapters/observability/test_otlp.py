"""Traces over real HTTP, to a stand-in for the collector."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from axon.adapters.observability import otlp as module
from axon.adapters.observability.otlp import OtlpTracing
from tests.support.stream_server import stream_server
from tests.unit.axon.adapters.observability.otlp_collector_stub import Collector, otlp_collector

TRACE, PARENT = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
SAMPLED = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT};Sampled=1;Lineage=1:a87bd80c:0"
UNSAMPLED = SAMPLED.replace("Sampled=1", "Sampled=0")
CONSUMER = 5


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with otlp_collector() as collector:
        yield collector


@pytest.fixture
async def tracing(collector: Collector) -> AsyncIterator[OtlpTracing]:
    tracing = OtlpTracing(endpoint=collector.endpoint, service="axon-test", delay_s=0.01)
    yield tracing
    await tracing.close()


async def test_otlp_tracing_continues_the_senders_trace(
    tracing: OtlpTracing, collector: Collector
) -> None:
    with tracing.receive("job", header=SAMPLED, response_id="resp_1"):
        with tracing.span("generate"):
            tracing.annotate(first_token_s=0.5)
        tracing.annotate(epoch=1, outcome="completed")
    await collector.has(2)
    job, generate = collector.named("job"), collector.named("generate")
    assert {job.trace_id, generate.trace_id} == {TRACE}
    assert (job.parent_id, generate.parent_id) == (PARENT, job.span_id)
    assert job.kind == CONSUMER
    assert job.attributes == {"response_id": "resp_1", "epoch": 1, "outcome": "completed"}
    assert generate.attributes == {"first_token_s": 0.5}
    assert job.service == "axon-test"


async def test_otlp_tracing_header_continues_the_current_span(
    tracing: OtlpTracing, collector: Collector
) -> None:
    assert tracing.header() is None
    with tracing.receive("job", header=SAMPLED):
        header = tracing.header()
    await collector.has(1)
    span_id = collector.named("job").span_id
    assert header == f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={span_id};Sampled=1"


async def test_otlp_tracing_follows_the_senders_sampling(
    tracing: OtlpTracing, collector: Collector
) -> None:
    for header in (UNSAMPLED, None, "", "nonsense", "Root=1-x;Parent=y;Sampled=1"):
        with tracing.receive("untraced", header=header), tracing.span("part"):
            assert tracing.header() is None
    with tracing.receive("job", header=SAMPLED):
        pass
    await collector.has(1)
    await tracing.close()
    assert [span.name for span in collector.spans] == ["job"]


async def test_otlp_tracing_separates_the_spans_of_tasks(
    tracing: OtlpTracing, collector: Collector
) -> None:
    async def work(name: str, trace: str) -> None:
        header = SAMPLED.replace(TRACE[8:], trace)
        with tracing.receive(name, header=header), tracing.span(f"{name} part"):
            await asyncio.sleep(0.01)
            tracing.annotate(of=name)

    traces = {f"job {number}": f"{number:024x}" for number in range(1, 6)}
    await asyncio.gather(*(work(*item) for item in traces.items()))
    await collector.has(10)
    for name, trace in traces.items():
        part = collector.named(f"{name} part")
        assert part.trace_id.endswith(trace)
        assert part.parent_id == collector.named(name).span_id
        assert part.attributes == {"of": name}


async def test_otlp_tracing_marks_a_span_with_its_error(
    tracing: OtlpTracing, collector: Collector
) -> None:
    with (
        pytest.raises(KeyError),
        tracing.receive("job", header=SAMPLED),
        tracing.span("generate"),
    ):
        raise KeyError("x")
    await collector.has(2)
    assert collector.named("generate").failed


async def test_otlp_tracing_sends_waiting_spans_on_close(collector: Collector) -> None:
    tracing = OtlpTracing(endpoint=collector.endpoint, service="axon-test", delay_s=60)
    with tracing.receive("job", header=SAMPLED):
        pass
    await tracing.close()
    assert [span.name for span in collector.spans] == ["job"]


@pytest.mark.parametrize("fault", ["nobody", "error", "silence"])
async def test_otlp_tracing_does_not_wait_for_an_absent_collector(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(module, "_CLOSE_S", 0.3)

    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    collector.status = 503
    async with stream_server(silence) as silent:
        endpoint = {
            "nobody": "http://127.0.0.1:1",
            "error": collector.endpoint,
            "silence": f"http://127.0.0.1:{silent}",
        }[fault]
        tracing = OtlpTracing(endpoint=endpoint, service="axon-test", delay_s=0.001)
        longest = 0.0
        for _ in range(3000):  # more than the queue holds
            began = time.perf_counter()
            with tracing.receive("job", header=SAMPLED):
                pass
            longest = max(longest, time.perf_counter() - began)
        began = time.perf_counter()
        await tracing.close()
        assert time.perf_counter() - began < module._SEND_S
        assert longest < module._SEND_S
