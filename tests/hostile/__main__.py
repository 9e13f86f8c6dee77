"""`python -m tests.hostile --minutes 30`: one tenant attacks a local cloud, another one asks."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.hostile.run import Run, run


def main() -> int:
    """Return the exit status: 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="hostile")
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--memory", type=int, default=256, metavar="MB", help="that Valkey may use")
    parser.add_argument("--folder", type=Path, help="new; stays, with logs and samples")
    parser.add_argument("--only", default="", help='attacks that say one of these, like "warm,key"')
    arguments = parser.parse_args()
    if arguments.folder is not None and arguments.folder.exists():
        parser.error(f"{arguments.folder} exists")
    with tempfile.TemporaryDirectory(prefix="axon-hostile-") as temporary:
        what = Run(
            seconds=60 * arguments.minutes,
            memory_mb=arguments.memory,
            only=arguments.only,
            root=(arguments.folder or Path(temporary, "data")).resolve(),
            say=_say,
        )
        report = asyncio.run(run(what))
    print(report.render())
    for broken in report.broken:
        print(f"BROKEN: {broken}")
    return 1 if report.broken else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
