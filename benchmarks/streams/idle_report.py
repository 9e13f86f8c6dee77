"""The report of the benchmark of idle streams, as Markdown."""

from collections.abc import Iterable

from benchmarks.report import bullets, number, table, target_table
from benchmarks.streams.idle_model import IdlePlan, IdleResult
from benchmarks.targets import Target

_STREAMS, _MB = 10_000, 1500.0
_HOLDERS = ("front", "valkey")
_LEAST_MB, _LEAST_CORES = 1.0, 0.005

_DEFINITIONS = """\
- Idle: the worker is stopped (SIGSTOP), so that no job is taken, and nothing comes but comments
  (each 15 s over SSE) or pings (each 40 s over WebSocket). The figures are of a window that begins
  10 s after the last stream was opened.
- After it, connections are cut without a word and their streams resumed on new ones, from the last
  event that came. Then the worker goes on, and every answer is checked, text and sequence numbers.
- MB: resident memory (RSS). A stream's KB: what has been added since no stream was open, by stream.
- One tenant may have a quarter of `AXON_MAX_SOCKETS` WebSockets; the setting is four times the
  streams here. A front needs an open file for each stream, and some more: `ulimit -n`, on AWS
  65,535 by the task's definition."""

_HEADERS = ("process", "MB before", "MB with the streams", "KB a stream", "cores while idle")


def render(result: IdleResult, plan: IdlePlan, head: Iterable[str]) -> str:
    """Return the whole report."""
    seen = result.seen
    figures = [
        ("opened", f"{seen.opened} of {plan.streams}"),
        ("comments in the window", str(seen.comments)),
        ("resumed after a cut", str(seen.resumed)),
        ("answers whole and in order", f"{seen.answered} of {plan.streams}"),
        ("commands of Valkey per second", number(result.commands_per_s)),
        ("the kernel's TCP buffers, both ends (MB)", number(result.tcp_mb)),
    ]
    parts = [
        f"## {plan.streams} idle streams: {plan.peer}",
        f"{bullets([*head, describe(plan)])}\n{_DEFINITIONS}",
        table(("figure", "value"), figures),
        table(_HEADERS, _rows(result, plan)),
        target_table(evaluate(result, plan)),
    ]
    if seen.failures:
        parts.append("FAILURES\n\n" + bullets(seen.failures))
    return "\n\n".join(parts) + "\n"


def describe(plan: IdlePlan) -> str:
    """Return the plan in one line."""
    return (
        f"{plan.opened_per_s:g} streams opened a second; a window of {plan.seconds:g} s; 1 of "
        f"{plan.resumed_every} cut and resumed; {plan.processes} load processes"
    )


def evaluate(result: IdleResult, plan: IdlePlan) -> list[Target]:
    """Return the targets with their results."""
    whole, mb = result.whole(plan), sum(result.mb[name] for name in _HOLDERS)
    text = f"{plan.peer}: front and Valkey with {_STREAMS} idle streams: under {_MB:g} MB"
    figure = ", ".join(f"{name} {result.mb[name]:.0f} MB" for name in _HOLDERS)
    return [
        Target(text, figure, whole and mb < _MB if plan.streams >= _STREAMS else None),
        Target(
            f"{plan.peer}: every stream is answered once and in order, also after a cut",
            f"{result.seen.answered} of {plan.streams}, {result.seen.resumed} of them resumed",
            whole,
        ),
    ]


def _rows(result: IdleResult, plan: IdlePlan) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in sorted(result.mb, key=lambda name: -result.mb[name]):
        before, now = result.before_mb.get(name, 0.0), result.mb[name]
        cores = result.cores.get(name, 0.0)
        if now - before >= _LEAST_MB or cores >= _LEAST_CORES:
            kb = (now - before) * 1000 / plan.streams
            rows.append((name, f"{before:.0f}", f"{now:.0f}", number(kb), f"{cores:.3f}"))
    return rows
