"""Targets of Axon's worker: latency of its stages, memory, requests per second."""

import math
from collections.abc import Callable, Sequence

from benchmarks.model import Measurement, WorkerWindow
from benchmarks.targets import Target
from benchmarks.worker_process import STAGES

_STAGE_MS = {"retrieve": 10.0, "assemble": 5.0, "post": 10.0, "stream": 5.0}
_REQUESTS_PER_S = 100.0
_IDLE_MB, _LOADED_MB = 150.0, 500.0

HEADERS = ("tokens", "pace", "clients", "requests/s", *(f"{name} ms" for name in STAGES), "MB")


def rows(measured: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Return rows under `HEADERS`: p99 of each stage, and the worker's memory at the end."""
    return [_row(one, one.worker) for one in measured if one.worker is not None]


def evaluate(measured: Sequence[Measurement]) -> list[Target]:
    """Return every target with its result in the worst measurement."""
    known = [one for one in measured if one.worker is not None]
    return [
        *(_stage(known, name, limit_ms) for name, limit_ms in _STAGE_MS.items()),
        _fast(known),
        _memory(known, "with the echo engine, loaded", _LOADED_MB, lambda worker: worker.mb),
        _memory(
            known, "before the first request, no model", _IDLE_MB, lambda worker: worker.idle_mb
        ),
    ]


def _row(one: Measurement, worker: WorkerWindow) -> tuple[str, ...]:
    cell = one.cell
    return (
        str(cell.tokens),
        cell.pace.label,
        str(cell.clients),
        f"{one.requests_per_s:.0f}",
        *(_ms(p99_ms(worker, name)) for name in STAGES),
        f"{worker.mb:.0f}",
    )


def p99_ms(worker: WorkerWindow, stage: str) -> float:
    """Return a stage's latency, p99 in milliseconds; nan if nothing has passed it."""
    histogram = worker.stages.get(stage)
    return histogram.percentile(99) * 1000 if histogram else math.nan


def _stage(known: Sequence[Measurement], stage: str, limit_ms: float) -> Target:
    text = f"{stage}, p99 in the worst cell: under {limit_ms:g} ms"
    seen = [(p99_ms(one.worker, stage), one) for one in known if one.worker]
    seen = [(ms, one) for ms, one in seen if not math.isnan(ms)]
    if not seen:
        return Target(text, "", None)
    ms, worst = max(seen, key=lambda pair: pair[0])
    within = sum(each < limit_ms for each, _ in seen)
    figure = f"{_ms(ms)} ms ({worst.cell.label}); {within} of {len(seen)} cells"
    return Target(text, figure, within == len(seen))


def _fast(known: Sequence[Measurement]) -> Target:
    text = f"requests/s with a fast model, best cell: over {_REQUESTS_PER_S:g}"
    fast = [one for one in known if not one.cell.pace.ttft_ms and not one.cell.pace.token_ms]
    if not fast:
        return Target(text, "", None)
    best = max(fast, key=lambda one: one.requests_per_s)
    figure = f"{best.requests_per_s:.0f} ({best.cell.label})"
    return Target(text, figure, best.requests_per_s > _REQUESTS_PER_S)


def _memory(
    known: Sequence[Measurement], when: str, limit_mb: float, of: Callable[[WorkerWindow], float]
) -> Target:
    text = f"memory of the worker {when}: under {limit_mb:g} MB"
    seen = [of(one.worker) for one in known if one.worker]
    if not seen:
        return Target(text, "", None)
    return Target(text, f"{max(seen):.0f} MB", max(seen) < limit_mb)


def _ms(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"
