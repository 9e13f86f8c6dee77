"""`python -m benchmarks scripts`: the time for which each script blocks Valkey at its maximum."""

from collections.abc import Iterable, Sequence

from benchmarks import machine
from benchmarks.command import new_parser, progress, publish, run_or_report
from benchmarks.report import bullets, number, table
from benchmarks.scripts.run import CaseResult, run

LIMIT_MS = 5.0
"""The longest time that one call may block Valkey (ADR 12)."""

_HEADERS = (
    "case", "maximum", "scripts", "calls", "slowest", "ms", "its commands", "its KB", "within 5 ms",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if a call blocked Valkey for longer than the limit."""
    options = new_parser("scripts", __doc__).parse_args(arguments)
    results = run_or_report(run(progress()))
    if results is None:
        return 1
    publish(render(results, machine.describe()), options.out)
    return 1 if any(result.slowest.ms > LIMIT_MS for result in results) else 0


def render(results: Sequence[CaseResult], head: Iterable[str]) -> str:
    """Return the report."""
    rows = table(_HEADERS, [_row(result) for result in results])
    return f"## Scripts at their maxima\n\n{bullets(head)}\n\n{rows}\n"


def _row(result: CaseResult) -> tuple[str, ...]:
    slowest = result.slowest
    return (
        result.case.name,
        f"{result.case.size} {result.case.maximum}",
        ", ".join(result.case.scripts) or "-",
        str(len(result.costs)),
        slowest.command,
        number(slowest.ms),
        str(slowest.commands),
        number(slowest.bytes / 1000),
        "yes" if slowest.ms <= LIMIT_MS else "NO",
    )
