"""`python -m benchmarks overload`: its arguments, and what it prints."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.command import new_parser, progress, publish, run_or_report
from benchmarks.model import Pace
from benchmarks.overload import report
from benchmarks.overload.model import LOST, Plan
from benchmarks.overload.run import run


def plan_from(arguments: Sequence[str]) -> tuple[Plan, Path | None]:
    """Return the plan that the command line asks for, and where to write the report."""
    parser = new_parser("overload", __doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="requests in the flood")
    parser.add_argument("--connections", type=int, default=200, help="WebSocket clients")
    parser.add_argument("--tokens", type=int, default=20, help="of an answer")
    parser.add_argument("--ttft-ms", type=float, default=20.0, help="the engine's first token")
    parser.add_argument("--token-ms", type=float, default=20.0, help="each token after it")
    parser.add_argument("--slots", type=int, default=16, help="generations at a time")
    parser.add_argument("--prefetch", type=int, default=1500, help="AXON_PREFETCH")
    parser.add_argument("--deadline", type=float, default=60.0, help="of a response, in seconds")
    options = parser.parse_args(arguments)
    plan = Plan(
        jobs=options.jobs,
        connections=options.connections,
        tokens=options.tokens,
        pace=Pace(ttft_ms=options.ttft_ms, token_ms=options.token_ms),
        slots=options.slots,
        prefetch=options.prefetch,
        deadline_s=options.deadline,
    )
    if min(plan.jobs, plan.connections, plan.tokens, plan.slots) < 1 or plan.answer_s <= 0:
        parser.error(
            "--jobs, --connections, --tokens and --slots must be at least 1, and an "
            "answer must take a while: set --ttft-ms or --token-ms"
        )
    return plan, options.out


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if a response was wrong or lost, or the run failed."""
    plan, out = plan_from(arguments)
    results = run_or_report(run(plan, progress()))
    if results is None:
        return 1
    publish(report.render(results, machine.describe()), out)
    return 1 if results.seen.wrong or results.seen.outcomes.get(LOST) else 0
