"""vLLM's own metrics beside the worker's."""

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.registry import Collector

PREFIX = "vllm:"


class EngineMetrics(Collector):
    """Shows what vLLM keeps in prometheus_client's own registry, and nothing else from there."""

    def __init__(self, *, source: CollectorRegistry = REGISTRY) -> None:
        self._source = source

    def describe(self) -> list[Metric]:
        """Name nothing: vLLM makes its metrics when it starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return vLLM's metrics as they are now."""
        return (metric for metric in self._source.collect() if metric.name.startswith(PREFIX))
