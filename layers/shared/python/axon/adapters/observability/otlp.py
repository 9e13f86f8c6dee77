"""Traces to an OpenTelemetry collector, by OTLP over HTTP, in AWS X-Ray's terms.

Imported only where traces are wanted: it takes a tenth of a second.
"""

import asyncio
import threading
from contextlib import AbstractContextManager, suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, get_current_span
from typing_extensions import override

from axon.tracing import Tracing, Value

_HEADER = "X-Amzn-Trace-Id"
_QUEUE = 2048
"""Spans that wait for the collector, at most; later ones are dropped."""

_SEND_S = 3.0
_CLOSE_S = 3.0


class OtlpTracing(Tracing):
    """See `axon.tracing.Tracing`. A thread sends; a collector that is away costs only spans.

    Whether a request is traced was decided where it came in: the header says so. Without a header
    there is no trace.

    Parameters
    ----------
    endpoint : str
        The collector's base URL, for example ``http://127.0.0.1:4318``.
    service : str
        The name that the spans bear.
    delay_s : float
        How long a span waits for others to be sent with it.
    """

    def __init__(self, *, endpoint: str, service: str, delay_s: float = 5.0) -> None:
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_S)
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_OFF),
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,  # a collector that is away would keep the process
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter, max_queue_size=_QUEUE, schedule_delay_millis=delay_s * 1000
            )
        )
        self._tracer = self._provider.get_tracer("axon")
        self._propagator = AwsXRayPropagator()

    @override
    def receive(
        self, name: str, *, header: str | None, **attributes: Value
    ) -> AbstractContextManager[object]:
        context = self._propagator.extract({_HEADER: header} if header else {})
        return self._tracer.start_as_current_span(
            name, context=context, kind=SpanKind.CONSUMER, attributes=attributes
        )

    @override
    def span(self, name: str) -> AbstractContextManager[object]:
        return self._tracer.start_as_current_span(name)

    @override
    def annotate(self, **attributes: Value) -> None:
        get_current_span().set_attributes(attributes)

    @override
    def header(self) -> str | None:
        if not get_current_span().get_span_context().trace_flags.sampled:
            return None
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(_HEADER)

    @override
    async def close(self) -> None:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop stopped waiting before
                loop.call_soon_threadsafe(closed.set)

        # Not an executor's thread: the loop's end waits for those.
        threading.Thread(target=close, daemon=True).start()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await closed.wait()
        except TimeoutError:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it tries no more, and the threads end
