"""Prometheus metrics of a worker."""

from collections.abc import Callable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.outcome import AttemptOutcome
from worker.stage_metrics import StageFamilies, StageMetrics, TurnedAway

# Up to minutes: a request may have waited for the first worker to start.
_FIRST_TOKEN_BUCKETS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
_TOKEN_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)

Forwarded = Literal["model", "prefix"]
"""Reason of a hand-over: a peer serves the job's model, or has the conversation's prefix."""


class WorkerMetrics:
    """Metrics of a worker, registered once per process."""

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
        self._released_for_peers = Counter(
            "axon_dead_peer_jobs",
            "Jobs of dead workers that this worker made visible to others.",
            registry=registry,
        )
        self._first_token = Histogram(
            "axon_time_to_first_token_seconds",
            "From a request's acceptance to the event log's acceptance of its first delta.",
            buckets=_FIRST_TOKEN_BUCKETS_S,
            registry=registry,
        )
        self._token = Histogram(
            "axon_time_per_output_token_seconds",
            "From one token of an answer to the next, as the engine gave them: each answer's mean.",
            buckets=_TOKEN_BUCKETS_S,
            registry=registry,
        )
        self._tokens = Counter(
            "axon_inference_tokens",
            "Tokens that the engine read (input) and made (output), in every attempt.",
            ["kind", "model"],
            registry=registry,
        )
        self._token_counters: dict[tuple[str, str], Counter] = {}
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
        self._history_lost = Counter(
            "axon_history_lost",
            "Responses that a worker ended with store: false, because the history queue refused "
            "their record.",
            registry=registry,
        )
        self._inputs_lost = Counter(
            "axon_inputs_lost",
            "Responses that a worker failed because their large input was not kept any more.",
            registry=registry,
        )
        self._stages = StageFamilies(registry=registry)

    def stage(self, name: str, *, refuses: bool) -> StageMetrics:
        """Return the metrics of a stage, which refuses jobs when its queue is full or not."""
        return StageMetrics(name, self._stages, refuses=refuses)

    def turned_away(self, stage: str, reason: TurnedAway) -> None:
        """Count a job that a stage's queue had no room for."""
        self._stages.shed.labels(stage, reason).inc()

    def watch(self, *, slots: int, used: Callable[[], int]) -> None:
        """Report the engine's slots; `used` is called at each scrape."""
        self._slots.set(slots)
        self._slots_used.set_function(used)

    def ended(self, outcome: AttemptOutcome) -> None:
        """Count an attempt by its outcome."""
        self._jobs[outcome].inc()

    def forwarded(self, reason: Forwarded) -> None:
        """Count a job that was handed over to a peer."""
        self._forwarded[reason].inc()

    def arrived(self) -> None:
        """Count a job that a peer handed over to this worker."""
        self._arrived.inc()

    def released_for_peer(self, count: int) -> None:
        """Count jobs that a dead worker held and this one has made visible to others."""
        self._released_for_peers.inc(count)

    def first_token(self, seconds: float) -> None:
        """Observe the seconds from a request's acceptance to its first token in the event log."""
        self._first_token.observe(max(seconds, 0.0))  # the clocks of two machines may differ

    def time_per_token(self, seconds: float) -> None:
        """Observe an answer's mean seconds from one token to the next."""
        self._token.observe(seconds)

    def tokens(self, kind: Literal["input", "output"], count: int, *, model: str) -> None:
        """Count tokens that the engine read or generated."""
        counter = self._token_counters.get((kind, model))
        if counter is None:
            counter = self._token_counters[kind, model] = self._tokens.labels(kind, model)
        counter.inc(count)

    def regenerated(self, count: int, *, model: str) -> None:
        """Count tokens that another attempt has to generate again."""
        self._regenerated.labels(model).inc(count)

    def input_lost(self) -> None:
        """Count a response that has failed because its input is not kept any more."""
        self._inputs_lost.inc()

    def history_lost(self) -> None:
        """Count a response that ended without its history."""
        self._history_lost.inc()

    def truncated(self, turns: int, *, model: str) -> None:
        """Count turns that were left out of a prompt."""
        self._truncated.labels(model).inc(turns)
