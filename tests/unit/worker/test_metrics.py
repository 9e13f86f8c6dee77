from prometheus_client import CollectorRegistry

from worker.attempt.endings import ENDINGS
from worker.metrics import WorkerMetrics
from worker.outcome import (
    COMPLETED,
    DELAYED,
    FORWARDED,
    RELEASED,
    AttemptOutcome,
    MessageAction,
)


def test_metrics_report_the_slots_at_each_scrape() -> None:
    registry = CollectorRegistry()
    running = 0
    WorkerMetrics(registry=registry).watch(slots=8, used=lambda: running)
    running = 3
    assert registry.get_sample_value("axon_worker_slots") == 8
    assert registry.get_sample_value("axon_worker_slots_used") == 3


def test_metrics_have_every_outcome_from_the_beginning() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry=registry)
    for outcome in (
        "completed",
        "failed",
        "cancelled",
        "overdue",
        "shed",
        "released",
        "delayed",
        "fenced",
        "forwarded",
    ):
        assert registry.get_sample_value("axon_jobs_total", {"outcome": outcome}) == 0


DELETED = (MessageAction.DELETE, MessageAction.PARK)


def test_outcome_is_final_unless_another_attempt_follows() -> None:
    endings = [ending.result for ending in ENDINGS.values()]
    results = {COMPLETED, FORWARDED, DELAYED, RELEASED, *endings}
    final = {each.outcome for each in results if each.message in DELETED}
    following = {each.outcome for each in results} - final
    assert final | following == set(AttemptOutcome)
    assert following == {
        AttemptOutcome.RELEASED,
        AttemptOutcome.DELAYED,
        AttemptOutcome.SUSPECT,
        AttemptOutcome.FENCED,
        AttemptOutcome.FORWARDED,
    }


def test_metrics_have_handed_over_jobs_from_the_beginning() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry=registry)
    for reason in ("model", "prefix"):
        labels = {"reason": reason}
        assert registry.get_sample_value("axon_jobs_forwarded_total", labels) == 0
    metrics.forwarded("prefix")
    metrics.arrived()
    assert registry.get_sample_value("axon_jobs_forwarded_total", {"reason": "prefix"}) == 1
    assert registry.get_sample_value("axon_jobs_arrived_total") == 1


def test_metrics_count_turns_that_were_left_out() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry=registry)
    metrics.truncated(3, model="m")
    metrics.truncated(2, model="m")
    assert registry.get_sample_value("axon_turns_truncated_total", {"model": "m"}) == 5
