import math

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Recorded

from axon.adapters.observability.metrics import exposition
from benchmarks.histogram import Histogram
from benchmarks.prometheus import histograms, read_metrics

SEEN = Histogram((0.002, 0.005, 0.01, math.inf), (50.0, 98.0, 100.0, 100.0))


def test_histogram_interpolates_a_percentile_within_its_bucket() -> None:
    assert SEEN.percentile(50) == pytest.approx(0.002)
    assert SEEN.percentile(74) == pytest.approx(0.0035)
    assert SEEN.percentile(99) == pytest.approx(0.0075)


def test_histogram_returns_the_highest_bound_for_values_above_it() -> None:
    assert Histogram((0.01, math.inf), (1.0, 2.0)).percentile(99) == 0.01


def test_histogram_shares_are_exact_at_a_bound() -> None:
    assert SEEN.share_within(0.005) == 0.98
    assert SEEN.share_within(0.007) == 0.98
    assert SEEN.share_within(0.001) == 0.0


def test_histogram_without_observations_returns_nan() -> None:
    empty = Histogram((1.0, math.inf), (0.0, 0.0))
    assert math.isnan(empty.percentile(99))
    assert math.isnan(empty.share_within(1.0))


def test_histogram_since_counts_new_observations_only() -> None:
    before = Histogram(SEEN.bounds, (50.0, 50.0, 50.0, 50.0))
    since = SEEN.since(before)
    assert since.counts == (0.0, 48.0, 50.0, 50.0)
    assert since.count == 50.0
    assert SEEN.since(None) is SEEN


@pytest.mark.parametrize("milliseconds", [4.9, 5.1, 9.9, 10.1])
def test_histograms_are_read_from_prometheus_client(milliseconds: float) -> None:
    registry = CollectorRegistry()
    recorded = Recorded("axon_x_seconds", "X.", ["stage"], buckets=(0.005, 0.01), registry=registry)
    recorded.labels("post").observe(milliseconds / 1000)
    read = histograms(read_metrics(exposition(registry).decode()), "axon_x_seconds", "stage")
    assert read["post"].bounds == (0.005, 0.01, math.inf)
    assert (read["post"].share_within(0.005) == 1) == (milliseconds < 5)
    assert (read["post"].share_within(0.01) == 1) == (milliseconds < 10)
