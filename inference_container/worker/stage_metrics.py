"""Prometheus metrics of the stages: one family each, with the label `stage`."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

TurnedAway = Literal["released", "deadline", "receives"]
"""Reason in `axon_requests_shed_total`: released for another attempt, or failed because the
deadline or the last receive leaves no other one."""

# From a pass-through to the longest answer.
_BUCKETS_S = (
    0.0001,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    50,
    200,
    500,
)
_TURNED_AWAY: tuple[TurnedAway, ...] = get_args(TurnedAway)


class StageFamilies:
    """The metric families that all stages of a worker share."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self.latency = Histogram(
            "axon_stage_latency_seconds",
            "What an item takes in a stage, without its wait before it.",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.wait = Histogram(
            "axon_queue_wait_seconds",
            "What an item waits before a stage.",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.depth = Gauge(
            "axon_queue_depth", "Items that wait before a stage now.", ["stage"], registry=registry
        )
        self.processed = Counter(
            "axon_requests_processed",
            "What a stage has done: requests, or flushes in post and stream.",
            ["stage"],
            registry=registry,
        )
        self.errors = Counter(
            "axon_errors", "What a stage has raised.", ["stage", "error"], registry=registry
        )
        self.shed = Counter(
            "axon_requests_shed",
            "Jobs that a full queue turned away: given back to SQS (released), or failed because "
            "their deadline or their last receive leaves no other attempt.",
            ["stage", "reason"],
            registry=registry,
        )


class StageMetrics:
    """The metrics of one stage.

    Parameters
    ----------
    name : str
        Value of the label `stage`.
    families : StageFamilies
        The families that all stages share.
    refuses : bool
        The stage turns jobs away when its queue is full.
    """

    def __init__(self, name: str, families: StageFamilies, *, refuses: bool) -> None:
        if refuses:
            # The time series exist before the first job is turned away, so that an alert on their
            # rate sees the first increase.
            for reason in _TURNED_AWAY:
                families.shed.labels(name, reason)
        self._latency = families.latency.labels(name)
        self._wait = families.wait.labels(name)
        self._depth = families.depth.labels(name)
        self._processed = families.processed.labels(name)
        self._errors = partial(families.errors.labels, name)

    def watch(self, *, depth: Callable[[], int]) -> None:
        """Report the length of the queue; `depth` is called at each scrape."""
        self._depth.set_function(depth)

    def waited(self, seconds: float) -> None:
        """Observe the seconds that a caller waited for its slot."""
        self._wait.observe(seconds)

    def processed(self, seconds: float) -> None:
        """Count a finished item, and observe its seconds in the slot."""
        self._latency.observe(seconds)
        self._processed.inc()

    def failed(self, error: Exception, seconds: float) -> None:
        """Count an item that raised an error after these seconds in the slot."""
        self._latency.observe(seconds)
        self._errors(type(error).__name__).inc()
