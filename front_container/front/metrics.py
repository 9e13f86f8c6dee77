"""The front's Prometheus metrics. Their names are those of operators' dashboards."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge

from front.context import FrontContext
from front.routing import route_of


class FrontMetrics:
    """A front's metrics, in a registry of its own process."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "axon_front_answers",
            "Answers that have begun, by route and status. A stream that fails later began with "
            "200.",
            ["route", "status"],
            registry=registry,
        )
        self._requests = Gauge(
            "axon_front_requests", "Requests that this front is answering now.", registry=registry
        )
        self._responses = Gauge(
            "axon_front_responses", "Responses that have a reader at this front.", registry=registry
        )
        self._sockets = Gauge(
            "axon_front_sockets", "WebSockets that are open at this front.", registry=registry
        )
        self._messages = Counter(
            "axon_front_messages",
            "Messages of WebSockets that were answered, by type, and 'ok' or the error's code.",
            ["type", "code"],
            registry=registry,
        )
        self._ready = Gauge(
            "axon_front_ready",
            "1 while this front serves requests; 0 while Valkey is away, or while it ends.",
            registry=registry,
        )

    def watch(self, context: FrontContext, *, ready: Callable[[], bool]) -> None:
        """Read the gauges from these parts, at each scrape."""
        self._requests.set_function(lambda: context.requests.count)
        self._responses.set_function(lambda: len(context.reader.attended))
        self._sockets.set_function(lambda: context.sockets.count)
        context.sockets.count_message = self._count_message
        self._ready.set_function(ready)

    async def count(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Count an answer, when it begins."""
        self._answers.labels(route_of(request), answer.status).inc()

    def _count_message(self, kind: str, code: str) -> None:
        self._messages.labels(kind, code).inc()
