"""A running program, for callers without an event loop (tests)."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

from local.errors import LocalCloudError
from local.supervision.leftovers import kill_group
from local.supervision.program import Program
from local.supervision.spawning import last_line, prepare, spawn_options

POLL_S = 0.02


class Child:
    """A running program.

    Parameters
    ----------
    program : Program
        What to start.
    owner : str
        Value of AXON_LOCAL_OWNER for its process.
    log : Path
        File that gets its output.
    """

    def __init__(self, program: Program, *, owner: str, log: Path) -> None:
        self._program = program
        self._log = log
        prepare(program)
        with log.open("ab") as output:
            options = spawn_options(program, owner=owner, output=output.fileno())
            self._process = subprocess.Popen(program.command, **options)

    @property
    def pid(self) -> int:
        """Its process id, which is the id of its process group too."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Block until the program is ready.

        Raises
        ------
        LocalCloudError
            It died or was not ready in time.
        """
        deadline = time.monotonic() + self._program.ready_within_s
        while not self._program.ready(self.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LocalCloudError(f"{self._program.name} did not start: {last_line(self._log)}")
            time.sleep(POLL_S)

    def stop(self, *, within_s: float = 10.0) -> None:
        """Stop it with its own signal, and kill it after `within_s`."""
        self._process.send_signal(self._program.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """Kill it and its process group."""
        kill_group(self.pid, signal.SIGKILL)
        self._process.wait()
