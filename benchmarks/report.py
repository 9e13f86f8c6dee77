"""The report of the main benchmark, as Markdown; tables and lists for all reports."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from benchmarks import front_targets, worker_targets
from benchmarks.model import Measurement
from benchmarks.peers import ALL, AXON
from benchmarks.run import Results
from benchmarks.targets import Target, evaluate

DEFINITIONS = """\
- Closed loop: each client asks again when its answer has ended. Every answer is checked, text and
  sequence numbers. Before its cells every peer serves up to 64 clients for 3 s, and each
  cell has a second of warm-up; a window is some whole rounds of answers.
- Added time to first token: from sending the question to the first piece of text, less what the
  mock engine needs for that (p50) when one client asks it directly at the same pace in this run.
- Gap: time between two deltas of one answer as they arrive. Axon joins tokens into fewer deltas, so
  its gaps are meant to be longer than a token's time.
- CPU: milliseconds per answered request of each server process with all its children, in the
  window. `total` is their sum, the mock engine included. `load` is the load generator's own, not in
  `total`. `idle` is the CPU use of the other peers' processes meanwhile, in % of one core.
- Posts: frames an answer arrives in; each is one @connections post.
- `*`: the window was ended by its time limit, not by whole rounds of answers."""

STAGES = """\
What each stage of the worker takes, p99 of its histogram in the cell (warm-up included), without
the wait before it: a request in the first two, a generation in infer, a flush in the last two.
MB: the worker's resident memory (RSS) at the end of the cell."""

_CELL_HEADERS = (
    "clients", "peer", "requests/s", "added p50 ms", "added p99 ms", "gap p99 ms",
    "CPU total", "CPU by process", "load", "idle %", "posts",
)  # fmt: skip
_LONG_HEADERS = (
    "peer", "answers", "posts mean", "posts max", "largest gap in first second p99 ms", "max ms",
    "gap p99 ms",
)  # fmt: skip


def render(results: Results, machine: Iterable[str]) -> str:
    """Return the whole report."""
    parts = ["# Benchmark results", bullets(machine), DEFINITIONS]
    # Cells come in the order measured: the paces one after the other, in each the sizes.
    for (pace, tokens), group in groupby(
        results.measurements, key=lambda one: (one.cell.pace, one.cell.tokens)
    ):
        parts.append(f"## Answers of {tokens} tokens, {pace.label}")
        ordered = sorted(group, key=lambda one: (one.cell.clients, ALL.index(one.peer)))
        parts.append(table(_CELL_HEADERS, [_cell_row(one) for one in ordered]))
    if results.long_answers:
        parts.append("## Answers of 500 tokens at 50 tokens/s")
        parts.append(table(_LONG_HEADERS, [_long_row(one) for one in results.long_answers]))
    if stages := worker_targets.rows(results.measurements):
        parts.append(f"## Stages of the worker\n\n{STAGES}")
        parts.append(table(worker_targets.HEADERS, stages))
    targets = evaluate(results.measurements, results.long_answers)
    targets += front_targets.evaluate(results.measurements)
    targets += worker_targets.evaluate(results.measurements)
    parts.append("## Aims")
    parts.append(target_table(targets))
    if results.warnings:
        parts.append("## Warnings")
        parts.append(bullets(results.warnings))
    if results.failures:
        parts.append("## FAILURES")
        parts.append(bullets(results.failures))
    return "\n\n".join(parts) + "\n"


def bullets(lines: Iterable[str]) -> str:
    """Return a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def target_table(targets: Iterable[Target]) -> str:
    """Return the table of targets with their results."""
    rows = [(target.text, target.figure, target.verdict) for target in targets]
    return table(("aim", "figure", "verdict"), rows)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned Markdown table."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    lines = [headers, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _cell_row(one: Measurement) -> tuple[str, ...]:
    if one.load.failures or not one.load.finished:
        return (str(one.cell.clients), one.peer, "FAILED", *("-" for _ in _CELL_HEADERS[3:]))
    by_process = sorted(((one.cpu_ms(name), name) for name in one.cpu_s), reverse=True)
    return (
        str(one.cell.clients),
        one.peer,
        f"{number(one.requests_per_s)}{'*' if one.load.capped else ''}",
        number(one.added_p50_ms),
        number(one.added_p99_ms),
        number(one.load.gap_p99_ms),
        number(one.total_cpu_ms),
        ", ".join(f"{name} {number(cpu)}" for cpu, name in by_process),
        number(one.client_cpu_ms),
        number(one.idle_cpu_s / one.load.window_s * 100),
        f"{one.load.frames_per_answer:.1f}" if one.peer == AXON else "-",
    )


def _long_row(one: Measurement) -> tuple[str, ...]:
    if one.load.failures or not one.load.finished:
        return (one.peer, "FAILED", *("-" for _ in _LONG_HEADERS[2:]))
    return (
        one.peer,
        str(one.load.finished),
        f"{one.load.frames_per_answer:.1f}",
        str(one.load.frames_max),
        number(one.load.first_second_gap_p99_ms),
        number(one.load.first_second_gap_max_ms),
        number(one.load.gap_p99_ms),
    )


def number(value: float) -> str:
    """Return a number with about three significant digits; a dash for nan."""
    if math.isnan(value):
        return "-"
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )
