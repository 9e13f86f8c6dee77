"""A collector's OTLP port over HTTP, which keeps what it is sent."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Span:
    """The parts of a span that the tests compare."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    failed: bool
    attributes: dict[str, Value]


@dataclass
class Collector:
    """`endpoint` is the base URL."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)
    status: int = 200

    def named(self, name: str) -> Span:
        (span,) = (span for span in self.spans if span.name == name)
        return span

    async def has(self, count: int) -> None:
        """Wait for `count` spans."""
        async with asyncio.timeout(15):
            while len(self.spans) < count:
                await asyncio.sleep(0.01)

    async def _take(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status)
        batch = ExportTraceServiceRequest.FromString(await request.read())
        for resource in batch.resource_spans:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {
                        a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value")
                        for a in span.attributes
                    }
                    self.spans.append(
                        Span(
                            service=attributes["service.name"],
                            name=span.name,
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex(),
                            kind=span.kind,
                            failed=span.status.code == 2,
                            attributes=values,
                        )
                    )
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


@asynccontextmanager
async def otlp_collector() -> AsyncIterator[Collector]:
    """Serve until the block ends; then no thread sends any more.

    Between its attempts such a thread uses the random numbers that other tests draw from.
    """
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collector._take)
    async with TestServer(application) as server:
        collector.endpoint = str(server.make_url("")).rstrip("/")
        yield collector
        for thread in threading.enumerate():
            if thread.name.startswith("OtelBatch"):
                await asyncio.to_thread(thread.join, 15)
                assert not thread.is_alive()
