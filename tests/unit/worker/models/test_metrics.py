from prometheus_client import CollectorRegistry

from axon.directory.workers import ModelState, ModelStatus
from worker.models.metrics import ModelMetrics


def test_model_metrics_count_models_by_state_at_each_scrape() -> None:
    registry, models = CollectorRegistry(), list[ModelStatus]()
    ModelMetrics(registry=registry, models=lambda: models)
    models += [ModelStatus(name, ModelState.SERVING) for name in "ab"]
    models.append(ModelStatus("c", ModelState.FAILED, 3, "no"))
    counted = {
        state: registry.get_sample_value("axon_models", {"state": state.value})
        for state in ModelState
    }
    assert counted == {
        ModelState.SERVING: 2,
        ModelState.FAILED: 1,
        ModelState.LOADING: 0,
        ModelState.UNLOADING: 0,
    }


def test_model_metrics_count_loads_from_zero() -> None:
    registry = CollectorRegistry()
    metrics = ModelMetrics(registry=registry, models=list)
    metrics.failed()
    for outcome, count in (("loaded", 0), ("failed", 1)):
        assert registry.get_sample_value("axon_model_loads_total", {"outcome": outcome}) == count
