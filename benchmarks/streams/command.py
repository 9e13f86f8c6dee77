"""`python -m benchmarks streams`: many open streams at a time, beside a rival's.

With `--idle N` another measurement: N streams that wait for a worker, and receive nothing but
comments. `ulimit -Hn` must allow a file for each stream, and two for each of the open ones.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, peers
from benchmarks.command import (
    comma_list,
    comma_numbers,
    new_parser,
    progress,
    publish,
    run_or_report,
)
from benchmarks.streams import idle_report, idle_run, plot, report
from benchmarks.streams.idle_model import IdlePlan
from benchmarks.streams.model import Plan
from benchmarks.streams.run import failures, run

_SHORT = {
    "agentic": peers.AGENTIC,
    "agentic-ws": peers.AGENTIC_SOCKET,
    "axon-sse": peers.AXON_SSE,
    "axon-front": peers.AXON_FRONT,
}


_SECONDS, _IDLE_SECONDS = 8.0, 20.0
_AXON = (peers.AXON_SSE, peers.AXON_FRONT)


def options_from(arguments: Sequence[str]) -> tuple[Plan | IdlePlan, Path | None]:
    """Return the plan that the command line asks for, and where to write the report."""
    parser = new_parser("streams", __doc__)
    parser.add_argument("--peers", type=comma_list, help=",".join(_SHORT))
    parser.add_argument(
        "--streams", type=comma_numbers, default=(100, 250, 500, 1000), help="open at a time"
    )
    parser.add_argument("--tokens-per-s", type=float, default=20.0, help="of each; default 20")
    parser.add_argument("--seconds", type=float, help="of a window; default 8, idle 20")
    parser.add_argument("--opened-per-s", type=float, default=100.0, help="default 100")
    parser.add_argument("--processes", type=int, default=2, help="of the load; default 2")
    parser.add_argument("--idle", type=int, metavar="N", help="streams that idle, of one peer")
    options = parser.parse_args(arguments)
    chosen = options.peers or (
        ["axon-sse"] if options.idle else ["agentic", "axon-sse", "axon-front"]
    )
    if unknown := set(chosen) - set(_SHORT):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    names = tuple(_SHORT[name] for name in _SHORT if name in chosen)
    if options.seconds is None:
        options.seconds = _IDLE_SECONDS if options.idle else _SECONDS
    _check(parser, options)
    if options.idle is None:
        return _plan(options, names), options.out
    if len(names) != 1 or names[0] not in _AXON:
        parser.error("--idle is for one of axon-sse and axon-front")
    plan = IdlePlan(
        peer=names[0],
        streams=options.idle,
        seconds=options.seconds,
        opened_per_s=options.opened_per_s,
        processes=options.processes,
    )
    return plan, options.out


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit with an error if a number is not more than 0."""
    counts = (*options.streams, options.processes, 1 if options.idle is None else options.idle)
    rates = (options.tokens_per_s, options.seconds, options.opened_per_s)
    if not options.streams or min(counts) < 1 or min(rates) <= 0:
        parser.error("every number must be more than 0")


def _plan(options: argparse.Namespace, names: tuple[str, ...]) -> Plan:
    return Plan(
        peers=names,
        streams=options.streams,
        tokens_per_s=options.tokens_per_s,
        seconds=options.seconds,
        opened_per_s=options.opened_per_s,
        processes=options.processes,
    )


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 if a stream was not whole, or the run failed."""
    plan, out = options_from(arguments)
    if isinstance(plan, IdlePlan):
        return _idle(plan, out)
    measured = run_or_report(run(plan, progress()))
    if measured is None:
        return 1
    publish(report.render(measured, plan, machine.describe()), out)
    if out is not None and (series := report.costs(measured)):
        title = f"Open streams at {plan.tokens_per_s:g} tokens/s"
        drawn = plot.svg(series, title=title, x="streams", y="CPU ms for a second of a stream")
        out.with_suffix(".svg").write_text(drawn)
    return 1 if failures(measured) else 0


def _idle(plan: IdlePlan, out: Path | None) -> int:
    result = run_or_report(idle_run.run(plan, progress()))
    if result is None:
        return 1
    publish(idle_report.render(result, plan, machine.describe()), out)
    return 0 if result.whole(plan) else 1
