import math
from dataclasses import replace

from benchmarks.histogram import Histogram
from benchmarks.model import Measurement, WorkerWindow
from benchmarks.peers import AXON, MOCK
from benchmarks.report import render
from benchmarks.run import Results
from benchmarks.worker_targets import evaluate, rows
from tests.unit.benchmarks.measurement_samples import SLOW, measurement

BOUNDS = (0.001, 0.002, 0.005, 0.01, math.inf)


def histogram(*, slow: float = 0.0) -> Histogram:
    """A hundred fast observations, and as many as `slow` between 5 and 10 ms."""
    return Histogram(BOUNDS, (0.0, 100.0, 100.0, 100.0 + slow, 100.0 + slow))


def with_worker(
    one: Measurement, *, idle_mb: float = 90.0, mb: float = 120.0, **slow: float
) -> Measurement:
    names = ("retrieve", "assemble", "infer", "post", "stream")
    stages = {name: histogram(slow=slow.get(name, 0.0)) for name in names}
    return replace(one, worker=WorkerWindow(idle_mb=idle_mb, mb=mb, stages=stages))


def verdicts(*measured: Measurement) -> list[bool | None]:
    return [aim.met for aim in evaluate(measured)]


def test_worker_targets_are_all_met() -> None:
    good = with_worker(measurement(AXON, per_s=100.5))
    assert verdicts(good, measurement(MOCK)) == [True] * 7


def test_worker_targets_without_a_worker_are_not_measured() -> None:
    assert verdicts(measurement(MOCK)) == [None] * 7
    assert rows([measurement(MOCK)]) == []


def test_worker_targets_can_each_be_missed_alone() -> None:
    good = with_worker(measurement(AXON, per_s=100.5))
    assert verdicts(good, with_worker(measurement(AXON), retrieve=5)) == [True] * 7
    assert verdicts(good, with_worker(measurement(AXON), assemble=5)).index(False) == 1
    assert verdicts(good, with_worker(measurement(AXON), stream=5)).index(False) == 3
    assert verdicts(with_worker(measurement(AXON, per_s=100))).index(False) == 4
    assert verdicts(good, with_worker(measurement(AXON), mb=500)).index(False) == 5
    assert verdicts(good, with_worker(measurement(AXON), idle_mb=150)).index(False) == 6


def test_worker_targets_ignore_the_speed_of_a_slow_engine() -> None:
    paced = with_worker(measurement(AXON, pace=SLOW, per_s=999))
    assert verdicts(paced)[4] is None


def test_report_has_the_stages_of_each_cell() -> None:
    one = with_worker(measurement(AXON, clients=16, per_s=250), stream=5)
    assert rows([one]) == [
        ("16", "full speed", "16", "250", "2.0", "2.0", "2.0", "2.0", "9.0", "120")
    ]
    text = render(Results(measurements=[one]), [])
    assert "## Stages of the worker" in text
    assert "stream, p99 in the worst cell: under 5 ms" in text
    assert "## Stages" not in render(Results(measurements=[measurement(MOCK)]), [])
