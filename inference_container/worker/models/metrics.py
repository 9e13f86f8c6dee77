"""Prometheus metrics of a worker's models."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from axon.directory.workers import ModelState, ModelStatus


class ModelMetrics:
    """Number of models by state, and of loads by outcome."""

    def __init__(
        self, *, registry: CollectorRegistry, models: Callable[[], Sequence[ModelStatus]]
    ) -> None:
        states = Gauge(
            "axon_models", "Models that this worker has, by state.", ["state"], registry=registry
        )
        for state in ModelState:
            states.labels(state.value).set_function(_counter_of(state, models))
        loads = Counter(
            "axon_model_loads",
            "Models that were loaded after the start, or failed to.",
            ["outcome"],
            registry=registry,
        )
        self._loaded, self._failed = loads.labels("loaded"), loads.labels("failed")

    def loaded(self) -> None:
        """Count a model that was loaded."""
        self._loaded.inc()

    def failed(self) -> None:
        """Count a model that could not be loaded."""
        self._failed.inc()


def _counter_of(
    state: ModelState, models: Callable[[], Sequence[ModelStatus]]
) -> Callable[[], float]:
    return lambda: sum(model.state is state for model in models())
