"""What a worker tells Prometheus."""

from collections.abc import Callable
from enum import StrEnum
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Up to minutes: a request may have waited for the first worker to start.
_FIRST_TOKENS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


class Outcome(StrEnum):
    """How an attempt ended: the first five end the job too."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The response had an end: by a client, its absence, the deadline or an earlier attempt."""
    OVERDUE = "overdue"
    """The job was older than its deadline, and not run."""
    DUPLICATE = "duplicate"
    """A newer attempt has another message of the same job."""
    RELEASED = "released"
    """Another attempt follows."""
    FENCED = "fenced"
    """A newer attempt has the job."""

    @property
    def final(self) -> bool:
        """Whether the job is finished with."""
        return self not in (Outcome.RELEASED, Outcome.FENCED)


class WorkerMetrics:
    """A worker's metrics, in a registry of its own process."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._slots = Gauge(
            "axon_worker_slots", "Jobs that this worker runs at a time.", registry=registry
        )
        self._slots_used = Gauge(
            "axon_worker_slots_used", "Jobs that this worker runs now.", registry=registry
        )
        jobs = Counter(
            "axon_jobs", "Attempts at jobs, by how they ended.", ["outcome"], registry=registry
        )
        self._jobs = {outcome: jobs.labels(outcome.value) for outcome in Outcome}
        self._first_token = Histogram(
            "axon_time_to_first_token_seconds",
            "From a request's acceptance to the event log's acceptance of its first delta.",
            buckets=_FIRST_TOKENS_S,
            registry=registry,
        )
        self._tokens = Counter(
            "axon_inference_tokens",
            "Tokens that the engine read (input) and made (output), in every attempt.",
            ["kind", "model"],
            registry=registry,
        )
        self._regenerated = Counter(
            "axon_tokens_regenerated",
            "Tokens that an attempt made but could not append: another one makes them again.",
            ["model"],
            registry=registry,
        )
        self._truncated = Counter(
            "axon_turns_truncated",
            "Turns that were left out because the conversation exceeded the context window.",
            ["model"],
            registry=registry,
        )

    def watch(self, *, slots: int, used: Callable[[], int]) -> None:
        """Tell of these slots whenever somebody asks."""
        self._slots.set(slots)
        self._slots_used.set_function(used)

    def ended(self, outcome: Outcome) -> None:
        """Count an attempt."""
        self._jobs[outcome].inc()

    def first_token(self, seconds: float) -> None:
        """Note how long a client waited for the first token."""
        self._first_token.observe(max(seconds, 0.0))  # two machines' clocks

    def tokens(self, kind: Literal["input", "output"], count: int, *, model: str) -> None:
        """Count tokens."""
        self._tokens.labels(kind, model).inc(count)

    def regenerated(self, count: int, *, model: str) -> None:
        """Count tokens that were made in vain."""
        self._regenerated.labels(model).inc(count)

    def truncated(self, turns: int, *, model: str) -> None:
        """Count turns that a model does not see."""
        self._truncated.labels(model).inc(turns)
