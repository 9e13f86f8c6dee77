"""`make chaos MINUTES=10 SEED=...`: breaks a local cloud for minutes and prints figures."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.beside import survived
from tests.chaos.earlier import prepared
from tests.chaos.run import Run, run
from tests.chaos.schedule import DECK, Breakage


def main() -> int:
    """Return the exit status: 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="chaos")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", default=str(time.time_ns() % 1_000_000))
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between faults")
    parser.add_argument("--folder", type=Path, help="new; stays, with logs and history")
    parser.add_argument(
        "--only", default="", help='faults that say one of these, like "kill worker,fail over"'
    )
    parser.add_argument(
        "--beside", metavar="COMMIT", help="run its workers, relays and functions beside today's"
    )
    arguments = parser.parse_args()
    if arguments.folder is not None and arguments.folder.exists():
        parser.error(f"{arguments.folder} exists")
    print(f"seed {arguments.seed}", flush=True)
    deck = DECK
    earlier = None
    if arguments.beside:
        earlier, deck = prepared(arguments.beside, say=_say), survived(DECK)
    with tempfile.TemporaryDirectory(prefix="axon-chaos-") as temporary:
        what = Run(
            seed=arguments.seed,
            seconds=60 * arguments.minutes,
            clients=arguments.clients,
            every_s=arguments.every,
            deck=_chosen(deck, arguments.only.split(",")),
            root=(arguments.folder or Path(temporary, "data")).resolve(),
            say=_say,
            earlier=earlier,
        )
        report = asyncio.run(run(what))
    print(report.figures.render())
    if report.kept:
        return 0
    print(report.explanation())
    return 1


def _chosen(deck: tuple[Breakage, ...], parts: list[str]) -> tuple[Breakage, ...]:
    return tuple(fault for fault in deck if any(part in str(fault) for part in parts))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
