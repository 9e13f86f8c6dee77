import prometheus_client
from prometheus_client import Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from axon.adapters.observability.metrics import exposition, new_registry


def test_metrics_expose_only_what_is_registered() -> None:
    registry = new_registry()
    Counter("axon_jobs", "Jobs.", ["outcome"], registry=registry).labels("completed").inc()
    Histogram("axon_lag_seconds", "Lag.", buckets=[1, 5], registry=registry).observe(2)
    text = exposition(registry).decode()
    names = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }
    assert names == {
        "axon_jobs_total",
        "axon_lag_seconds_bucket",
        "axon_lag_seconds_count",
        "axon_lag_seconds_sum",
    }
    assert 'axon_jobs_total{outcome="completed"} 1.0' in text


def test_metrics_registries_are_separate() -> None:
    first, second = new_registry(), new_registry()
    Counter("axon_jobs", "Jobs.", registry=first)
    Counter("axon_jobs", "Jobs.", registry=second).inc()
    assert first.get_sample_value("axon_jobs_total") == 0
    assert prometheus_client.REGISTRY.get_sample_value("axon_jobs_total") is None
