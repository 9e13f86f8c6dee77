"""`python -m benchmarks expiry`: thousands of responses expire at once.

Sweeping processes, built as a relay builds its sweeper, end them on a Valkey of their own, and send
their history to the stand-in for SQS. Times count from the deadline to the publication of an end.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.command import new_parser, progress, publish, run_or_report
from benchmarks.expiry.run import Plan, Result, run
from benchmarks.report import bullets, number, table
from benchmarks.stats import percentile

LIMIT_S = 10.0
"""The aim of ADR 13: seconds from the deadline to the last of 20,000 ends."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if a response stayed silent, ended twice or lost its record."""
    parser = new_parser("expiry", __doc__)
    parser.add_argument("--count", type=int, default=20_000, help="responses; default 20000")
    parser.add_argument("--sweepers", type=int, default=2, help="processes; default 2")
    parser.add_argument("--unstored", action="store_true", help="without history, so without SQS")
    parser.add_argument("--profiles", type=Path, metavar="FOLDER", help="profile the sweepers")
    options = parser.parse_args(arguments)
    plan = Plan(
        count=options.count,
        sweepers=options.sweepers,
        stored=not options.unstored,
        profiles=options.profiles,
    )
    result = run_or_report(run(plan, progress()))
    if result is None:
        return 1
    publish(render(plan, result, machine.describe()), options.out)
    return 1 if faults(plan, result) else 0


def faults(plan: Plan, result: Result) -> dict[str, int]:
    """Return how many responses met which fault; nothing for those that none met."""
    found = {
        "silent": plan.count - len(result.after),
        "ended twice": result.ended_twice,
        "not ended by one claim": plan.count - result.outcome.ended_once,
        "left in the index": result.outcome.left,
        "ended without a record": result.unrecorded,
        "records missing": plan.count * plan.stored - result.recorded,
    }
    return {name: count for name, count in found.items() if count}


def render(plan: Plan, result: Result, head: Iterable[str]) -> str:
    """Return the report."""
    last = max(result.after, default=float("nan"))
    rows = [
        ("ended", f"{len(result.after)} of {plan.count}"),
        ("faults", ", ".join(f"{n} {name}" for name, n in faults(plan, result).items()) or "none"),
        ("last end after (s)", number(last)),
        ("p50, p99 (s)", f"{number(_rank(result, 50))}, {number(_rank(result, 99))}"),
        (f"within {LIMIT_S:g} s", "yes" if last <= LIMIT_S else "NO"),
        ("records in the history queue", str(result.recorded)),
        *((f"CPU of {name} (s)", number(seconds)) for name, seconds in result.cpu.items()),
        ("load average before", number(result.load)),
    ]
    title = f"{plan.count} responses expire at once, {plan.sweepers} sweepers"
    return f"## {title}\n\n{bullets(head)}\n\n{table(('figure', 'value'), rows)}\n"


def _rank(result: Result, rank: float) -> float:
    return percentile(result.after, rank)
