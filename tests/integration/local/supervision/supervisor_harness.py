"""A supervisor of small programs, in a process of its own."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.supervision.leftovers import owned
from tests.support.eventually import wait_until

DEADLINE_S = 20.0
SUPERVISED = Path(__file__).with_name("supervised_cloud_stub.py")


@dataclass(frozen=True, kw_only=True)
class SupervisorHarness:
    """A supervisor of two programs, `parent` (which starts `grandchild`) and `child`."""

    process: "subprocess.Popen[bytes]"
    root: Path

    @property
    def output(self) -> str:
        return (self.root / "output").read_text()

    @property
    def owner(self) -> str:
        return str(self.root / "run")

    def pid(self, name: str) -> int:
        return int((self.root / "run" / f"{name}.pid").read_text())

    def state(self, name: str) -> dict[str, object]:
        state = json.loads((self.root / "run" / "state.json").read_text())
        found: dict[str, object] = state["processes"][name]
        return found

    def says(self, text: str) -> None:
        wait_until(lambda: text in self.output)

    def says_again(self, text: str, before: int = 1) -> None:
        wait_until(lambda: self.output.count(text) > before)

    def end(self, how: signal.Signals) -> int:
        os.kill(self.process.pid, how)
        return self.process.wait(DEADLINE_S)

    def nothing_is_left(self) -> None:
        wait_until(lambda: not owned(self.owner))


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
