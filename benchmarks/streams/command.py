"""`python -m benchmarks streams`: its arguments, and what it prints."""

import argparse
from collections.abc import Sequence

from benchmarks import machine, peers
from benchmarks.command import (
    comma_list,
    comma_numbers,
    new_parser,
    progress,
    publish,
    run_or_report,
)
from benchmarks.streams import plot, report
from benchmarks.streams.model import Plan
from benchmarks.streams.run import failures, run

_SHORT = {
    "agentic": peers.AGENTIC,
    "agentic-ws": peers.AGENTIC_SOCKET,
    "axon-sse": peers.AXON_SSE,
    "axon-front": peers.AXON_FRONT,
}


def options_from(arguments: Sequence[str]) -> tuple[argparse.Namespace, Plan]:
    """Return the options, and the plan of open streams that they ask for."""
    parser = new_parser("streams", __doc__)
    parser.add_argument(
        "--peers", type=comma_list, default=["agentic", "axon-sse", "axon-front"],
        help=",".join(_SHORT),
    )  # fmt: skip
    parser.add_argument(
        "--streams", type=comma_numbers, default=(100, 250, 500, 1000), help="open at a time"
    )
    parser.add_argument("--tokens-per-s", type=float, default=20.0, help="of each; default 20")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a window; default 8")
    parser.add_argument("--opened-per-s", type=float, default=100.0, help="default 100")
    parser.add_argument("--processes", type=int, default=2, help="of the load; default 2")
    options = parser.parse_args(arguments)
    if unknown := set(options.peers) - set(_SHORT):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    numbers = (options.tokens_per_s, options.seconds, options.opened_per_s)
    if not options.streams or min(*options.streams, options.processes) < 1 or min(numbers) <= 0:
        parser.error("every number must be more than 0")
    plan = Plan(
        peers=tuple(_SHORT[name] for name in _SHORT if name in options.peers),
        streams=options.streams,
        tokens_per_s=options.tokens_per_s,
        seconds=options.seconds,
        opened_per_s=options.opened_per_s,
        processes=options.processes,
    )
    return options, plan


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if a stream was not whole, or the run failed."""
    options, plan = options_from(arguments)
    measured = run_or_report(run(plan, progress()))
    if measured is None:
        return 1
    publish(report.render(measured, plan, machine.describe()), options.out)
    if options.out is not None and (series := report.costs(measured)):
        options.out.with_suffix(".svg").write_text(
            plot.svg(
                series,
                title=f"Open streams at {plan.tokens_per_s:g} tokens/s",
                x="streams",
                y="CPU ms for a second of a stream",
            )
        )
    return 1 if failures(measured) else 0
