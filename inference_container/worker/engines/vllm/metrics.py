"""vLLM's own metrics in the worker's registry."""

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

PREFIX = "vllm:"


class EngineMetrics(Collector):
    """Collects vLLM's metrics, and only these, from prometheus_client's default registry."""

    def __init__(self, *, source: CollectorRegistry = REGISTRY) -> None:
        self._source = source

    def describe(self) -> list[Metric]:
        """Return nothing: vLLM creates its metrics when it starts, after this is registered."""
        return []

    @override
    def collect(self) -> Iterator[Metric]:
        return (metric for metric in self._source.collect() if metric.name.startswith(PREFIX))
