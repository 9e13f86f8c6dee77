"""Two versions in one cloud: each start of a process takes the other version in turn."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

from local.atomic_files import write_json
from local.supervision.program import Program
from tests.chaos.cloud import FUNCTIONS, RELAYS, WORKERS
from tests.chaos.earlier import EarlierTree
from tests.chaos.schedule import Breakage, Kind

TODAY = "today"
MIGRATE = "migrate"
"""Runs today's code alone: a deployment migrates the schema before it changes anything else."""
_SURVIVED = (
    *(Kind.KILL, Kind.TERM, Kind.STOP, Kind.CUT, Kind.STALL, Kind.REFUSE),
    *(Kind.UNSUBSCRIBE, Kind.LOSE),
)
"""Kinds of faults that both versions promise to survive. A newer kind may break the earlier one."""

_UNREAD = re.compile(r"set aside|no readable|not a (job|publication|record)\b|ends unrecorded")


def survived(deck: tuple[Breakage, ...]) -> tuple[Breakage, ...]:
    """Return the faults of a deck that a run beside an earlier version can be held to."""
    return tuple(fault for fault in deck if fault.kind in _SURVIVED)


def unread(log: Path) -> list[str]:
    """Return the log lines of either version that say that it could not read what another wrote."""
    return [
        f"{file.name}: {line[:300]}"
        for file in sorted(log.iterdir())
        for line in file.read_text(errors="replace").splitlines()
        if _UNREAD.search(line)
    ]


@dataclass(kw_only=True)
class Versions:
    """Changes a cloud's programs so that they alternate between today's and an earlier version.

    The first of two relays or workers starts as the earlier version, the other as today's; when one
    dies, the other version takes its place. So within a run each version receives, hands over and
    reads what the other one has written, and a deployment and a rollback are always under way. Of
    each function every second environment is of the earlier version.

    Parameters
    ----------
    earlier : EarlierTree
        The earlier version.
    folder : Path
        Holds the commands that start the version whose turn it is; it must exist.
    """

    earlier: EarlierTree
    folder: Path
    starts: Counter[str] = field(default_factory=Counter)
    """Starts of relays and workers, by program and version."""

    def adapted(self, program: Program) -> Program:
        """Return the program with both versions, if it is one of those that are deployed."""
        if program.name in RELAYS + WORKERS:
            return self._alternating(program, (*RELAYS, *WORKERS).index(program.name) % 2)
        return self._functions(program) if program.name == FUNCTIONS else program

    def summary(self) -> str:
        """Return how often each version was started, on one line."""
        return ", ".join(f"{name} {count}" for name, count in sorted(self.starts.items()))

    def _alternating(self, program: Program, offset: int) -> Program:
        turns = cycle([(self.earlier.commit[:7], self.earlier.python), (TODAY, _own())])
        for _ in range(offset):
            next(turns)
        command = self.folder / program.name

        def prepare() -> None:
            program.prepare()
            self._take_turn(program.name, command, turns)

        # The earlier version has no relay whose clock can be set; that fault is not in the deck.
        shifted = "tests.chaos.shifted_relay"
        arguments = ("relay" if part == shifted else part for part in program.command[1:])
        return replace(program, command=(str(command), *arguments), prepare=prepare)

    def _take_turn(self, name: str, command: Path, turns: Iterator[tuple[str, Path]]) -> None:
        version, python = next(turns)
        # A command that replaces itself: the process keeps its id, which the faults know. A link to
        # the interpreter would not do, because Python finds its packages by the path it is run by.
        command.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
        command.chmod(0o700)
        self.starts[f"{name} of {version}"] += 1

    def _functions(self, program: Program) -> Program:
        """Make every function but the migrations alternate, by the service's configuration file."""
        file = Path(program.command[-1])
        content = json.loads(file.read_text())
        for name, function in content["functions"].items():
            folder = self.earlier.functions / name
            if name != MIGRATE and folder.is_dir():
                function["earlier"] = {
                    "python": str(self.earlier.python),
                    "folder": str(folder),
                    "layers": [str(self.earlier.layer)],
                }
        write_json(file, content)
        return program


def _own() -> Path:
    return Path(sys.executable)
