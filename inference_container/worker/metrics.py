"""What a worker tells Prometheus."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.attempt.outcome import AttemptOutcome

# Up to minutes: a request may have waited for the first worker to start.
_FIRST_TOKENS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
_TOKENS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
# From a pass-through to the longest answer.
_STAGES_S = (
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

TurnedAway = Literal["released", "deadline", "receives"]
"""Why a stage's queue did not take a job; all but the first tell the client so."""

Forwarded = Literal["model", "prefix"]
"""Why a job was handed over: another worker serves its model, or has its conversation."""

_TURNED_AWAY: tuple[TurnedAway, ...] = get_args(TurnedAway)
_REFUSING = ("retrieve", "assemble", "infer")


class StageMetrics:
    """One stage's, which share their names and differ in the label `stage`."""

    def __init__(self, name: str, metrics: "_Stages") -> None:
        self._latency = metrics.latency.labels(name)
        self._wait = metrics.wait.labels(name)
        self._depth = metrics.depth.labels(name)
        self._processed = metrics.processed.labels(name)
        self._errors = partial(metrics.errors.labels, name)

    def watch(self, *, depth: Callable[[], int]) -> None:
        """Tell of this queue whenever somebody asks."""
        self._depth.set_function(depth)

    def waited(self, seconds: float) -> None:
        """Note how long an item was in the queue."""
        self._wait.observe(seconds)

    def processed(self, seconds: float) -> None:
        """Count an item, which took so long without the wait."""
        self._latency.observe(seconds)
        self._processed.inc()

    def failed(self, error: Exception, seconds: float) -> None:
        """Count an item that raised this after so long."""
        self._latency.observe(seconds)
        self._errors(type(error).__name__).inc()


class _Stages:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.latency = Histogram(
            "axon_stage_latency_seconds",
            "What an item takes in a stage, without its wait before it.",
            ["stage"],
            buckets=_STAGES_S,
            registry=registry,
        )
        self.wait = Histogram(
            "axon_queue_wait_seconds",
            "What an item waits before a stage.",
            ["stage"],
            buckets=_STAGES_S,
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
        for stage in _REFUSING:
            for reason in _TURNED_AWAY:
                self.shed.labels(stage, reason)


class WorkerMetrics:
    """A worker's metrics, in a registry of its own process."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._slots = Gauge(
            "axon_worker_slots", "Generations that the engine runs at a time.", registry=registry
        )
        self._slots_used = Gauge(
            "axon_worker_slots_used", "Generations that the engine runs now.", registry=registry
        )
        jobs = Counter(
            "axon_jobs", "Attempts at jobs, by how they ended.", ["outcome"], registry=registry
        )
        self._jobs = {outcome: jobs.labels(outcome.value) for outcome in AttemptOutcome}
        forwarded = Counter(
            "axon_jobs_forwarded",
            "Jobs that were handed over to another worker: to one that serves the model, or to "
            "the one that has the conversation's beginning (prefix).",
            ["reason"],
            registry=registry,
        )
        self._forwarded = {reason: forwarded.labels(reason) for reason in get_args(Forwarded)}
        self._arrived = Counter(
            "axon_jobs_arrived", "Jobs that other workers handed over.", registry=registry
        )
        self._first_token = Histogram(
            "axon_time_to_first_token_seconds",
            "From a request's acceptance to the event log's acceptance of its first delta.",
            buckets=_FIRST_TOKENS_S,
            registry=registry,
        )
        self._token = Histogram(
            "axon_time_per_output_token_seconds",
            "From one token of an answer to the next, as the engine gave them: each answer's mean.",
            buckets=_TOKENS_S,
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
        self._stages = _Stages(registry)

    def stage(self, name: str) -> StageMetrics:
        """Return the part that a stage tells."""
        return StageMetrics(name, self._stages)

    def turned_away(self, stage: str, reason: TurnedAway) -> None:
        """Count a job that a stage's queue did not take."""
        self._stages.shed.labels(stage, reason).inc()

    def watch(self, *, slots: int, used: Callable[[], int]) -> None:
        """Tell of these slots whenever somebody asks."""
        self._slots.set(slots)
        self._slots_used.set_function(used)

    def ended(self, outcome: AttemptOutcome) -> None:
        """Count an attempt."""
        self._jobs[outcome].inc()

    def forwarded(self, reason: Forwarded) -> None:
        """Count a job that was handed over."""
        self._forwarded[reason].inc()

    def arrived(self) -> None:
        """Count a job that another worker handed over."""
        self._arrived.inc()

    def first_token(self, seconds: float) -> None:
        """Note how long a client waited for the first token."""
        self._first_token.observe(max(seconds, 0.0))  # two machines' clocks

    def time_per_token(self, seconds: float) -> None:
        """Note an answer's mean time from one token to the next."""
        self._token.observe(seconds)

    def tokens(self, kind: Literal["input", "output"], count: int, *, model: str) -> None:
        """Count tokens."""
        self._tokens.labels(kind, model).inc(count)

    def regenerated(self, count: int, *, model: str) -> None:
        """Count tokens that were made in vain."""
        self._regenerated.labels(model).inc(count)

    def truncated(self, turns: int, *, model: str) -> None:
        """Count turns that a model does not see."""
        self._truncated.labels(model).inc(turns)
