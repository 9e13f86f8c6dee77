"""`make bench`: run the cells, print the report, fail when any answer was wrong.

`make bench ARGS="engine ..."`, `ARGS="streams ..."`, `ARGS="overload ..."`, `ARGS="affinity ..."`,
`ARGS=scripts` and `ARGS="expiry ..."` are benchmarks of their own: their --help tells more.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, peers, report
from benchmarks import run as cells
from benchmarks.affinity import command as affinity
from benchmarks.command import comma_list, new_parser, print_failure, progress, publish
from benchmarks.engine import command as engine
from benchmarks.expiry import command as expiry
from benchmarks.model import Pace
from benchmarks.overload import command as overload
from benchmarks.scripts import command as scripts
from benchmarks.streams import command as streams

_SHORT = {
    "mock": peers.MOCK,
    "litellm-1": peers.LITELLM_1,
    "litellm-2": peers.LITELLM_2,
    "router": peers.ROUTER,
    "agentic": peers.AGENTIC,
    "agentic-ws": peers.AGENTIC_SOCKET,
    "smg": peers.SMG,
    "axon": peers.AXON,
    "axon-sse": peers.AXON_SSE,
    "axon-front": peers.AXON_FRONT,
}
_PACES = ("0+0", "20+5")


def _pace(text: str) -> Pace:
    ttft_ms, _, token_ms = text.partition("+")
    return Pace(ttft_ms=float(ttft_ms), token_ms=float(token_ms))


def plan_from(arguments: Sequence[str]) -> tuple[cells.Plan, Path | None]:
    """Return the plan that the command line asks for, and where to write the report."""
    parser = new_parser("", __doc__)
    parser.add_argument("--peers", type=comma_list, default=list(_SHORT), help=",".join(_SHORT))
    parser.add_argument("--clients", type=comma_list, help="default 1,16,64,256; quick 1,64")
    parser.add_argument("--tokens", type=comma_list, default=["16", "128"])
    parser.add_argument(
        "--paces", type=comma_list, default=list(_PACES), help="TTFT+TOKEN in ms, ..."
    )
    parser.add_argument("--seconds", type=float, help="least window of a cell; default 6, quick 2")
    parser.add_argument("--quick", action="store_true", help="few cells, short windows")
    options = parser.parse_args(arguments)
    if unknown := set(options.peers) - set(_SHORT):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    clients = options.clients or (["1", "64"] if options.quick else ["1", "16", "64", "256"])
    try:
        plan = cells.Plan(
            peers=tuple(_SHORT[name] for name in _SHORT if name in options.peers),
            clients=tuple(int(count) for count in clients),
            tokens=tuple(int(count) for count in options.tokens),
            paces=tuple(_pace(text) for text in options.paces),
            seconds=options.seconds or (2.0 if options.quick else 6.0),
        )
    except ValueError as error:
        parser.error(str(error))
    return plan, options.out


def main() -> int:
    """Run a benchmark; return the exit status.

    Returns
    -------
    int
        1 if any answer in any cell was wrong or missing, 130 when interrupted.
    """
    # Like Ctrl-C, so that the servers are stopped too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        match sys.argv[1:]:
            case ["engine", *arguments]:
                return engine.main(arguments)
            case ["streams", *arguments]:
                return streams.main(arguments)
            case ["overload", *arguments]:
                return overload.main(arguments)
            case ["affinity", *arguments]:
                return affinity.main(arguments)
            case ["scripts", *arguments]:
                return scripts.main(arguments)
            case ["expiry", *arguments]:
                return expiry.main(arguments)
            case arguments:
                return _run(*plan_from(arguments))
    except KeyboardInterrupt:
        return 130


def _run(plan: cells.Plan, out: Path | None) -> int:
    results = asyncio.run(cells.run(plan, progress()))
    publish(report.render(results, machine.describe()), out)
    for failure in results.failures:
        print_failure(failure)
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
