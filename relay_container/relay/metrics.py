"""The relay's Prometheus metrics. Their names are those of operators' dashboards."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from typing_extensions import override

from axon.adapters.observability.refusals import Refusals
from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApi,
    ConnectionsApiError,
    PostThrottledError,
)
from relay.dispatcher import Dispatcher

_LAGS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class RelayMetrics:
    """A relay's metrics, in a registry of its own process."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self.refused = Refusals(registry=registry)
        self._connections = Gauge(
            "axon_relay_connections",
            "Connections that this relay delivers to now.",
            registry=registry,
        )
        self._responses = Gauge(
            "axon_relay_responses",
            "Responses that this relay has not delivered to their end.",
            registry=registry,
        )
        self._ready = Gauge(
            "axon_relay_ready",
            "1 while this relay can deliver; 0 while Valkey is away, or it has only just started.",
            registry=registry,
        )
        self.valkey_memory = Gauge(
            "axon_valkey_memory_ratio",
            "Used share of Valkey's memory. From 0.7 on turns are evicted, and from 0.85 on new "
            "requests are refused.",
            registry=registry,
        )
        self.evicted_turns = Counter(
            "axon_relay_evicted_turns",
            "Cached turns that this relay has evicted because Valkey's memory runs low.",
            registry=registry,
        )
        posts = Counter(
            "axon_relay_posts",
            "Posts to connections, by outcome; a throttled one is repeated.",
            ["outcome"],
            registry=registry,
        )
        self.delivered, self.gone, self.throttled, self.failed = map(
            posts.labels, ("delivered", "gone", "throttled", "failed")
        )
        self._taken_over = Counter(
            "axon_relay_adopted_connections",
            "Connections taken over from relays that died or left: continued, or closed because "
            "one post's fate was uncertain.",
            ["outcome"],
            registry=registry,
        )
        self._history_lost = Counter(
            "axon_relay_history_lost",
            "Responses that a relay ended with store: false, because the history queue was away "
            "or refused their record.",
            registry=registry,
        )
        self.lag = Histogram(
            "axon_relay_lag_seconds",
            "From an event's receipt by the relay to its post's success, the wait for earlier "
            "events of its connection and for repeated posts included. The way from the event log "
            "to the relay is not.",
            buckets=_LAGS_S,
            registry=registry,
        )

    def taken_over(self, continued: bool) -> None:
        """Count a connection that was taken over, by whether its delivery continues."""
        self._taken_over.labels("continued" if continued else "closed").inc()

    def history_lost(self) -> None:
        """Count a response that ended without its history."""
        self._history_lost.inc()

    def watch_readiness(self, ready: Callable[[], bool]) -> None:
        """Ask at each scrape whether the relay can deliver."""
        self._ready.set_function(ready)

    def watch(self, dispatcher: Dispatcher) -> None:
        """Read the gauges from this dispatcher, at each scrape."""
        self._connections.set_function(lambda: dispatcher.connections)
        self._responses.set_function(lambda: len(dispatcher.deliveries))


class CountedConnections(ConnectionsApi):
    """A `ConnectionsApi` that counts each post by its outcome."""

    def __init__(self, connections: ConnectionsApi, *, metrics: RelayMetrics) -> None:
        self._connections = connections
        self._metrics = metrics

    @override
    async def post(self, connection_id: str, data: bytes) -> None:
        try:
            await self._connections.post(connection_id, data)
        except ConnectionGoneError:
            self._metrics.gone.inc()
            raise
        except PostThrottledError:
            self._metrics.throttled.inc()
            raise
        except ConnectionsApiError:
            self._metrics.failed.inc()
            raise
        self._metrics.delivered.inc()

    @override
    async def delete(self, connection_id: str) -> None:
        await self._connections.delete(connection_id)
