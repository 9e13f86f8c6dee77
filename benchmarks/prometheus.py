"""Parser of Prometheus's text format: values by label, and histograms."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.histogram import Histogram


def read_metrics(text: str) -> list[Metric]:
    """Parse Prometheus's text format."""
    return list(text_string_to_metric_families(text))


def values(metrics: Iterable[Metric], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the samples called `name` by the values of these labels, summed over all others."""
    found: dict[tuple[str, ...], float] = {}
    for metric in metrics:
        for sample in metric.samples:
            if sample.name == name:
                key = tuple(sample.labels.get(label, "") for label in labels)
                found[key] = found.get(key, 0.0) + float(sample.value)
    return found


def histograms(metrics: Iterable[Metric], name: str, label: str) -> dict[str, Histogram]:
    """Return the histogram called `name` for each value of `label`."""
    buckets: dict[str, list[tuple[float, float]]] = {}
    for (owner, bound), count in values(metrics, f"{name}_bucket", label, "le").items():
        buckets.setdefault(owner, []).append((float(bound), count))
    return {
        owner: Histogram(*map(tuple, zip(*sorted(pairs), strict=True)))
        for owner, pairs in buckets.items()
    }
