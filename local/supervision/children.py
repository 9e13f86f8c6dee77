"""Start, await and stop one program."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from local.errors import LocalCloudError
from local.supervision.leftovers import kill_group
from local.supervision.program import OWNER_VARIABLE, Program

POLL_S = 0.02
# What a process may inherit. Not the user's AWS_* and PG*: nothing here may reach a real account.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


def spawn_options(program: Program, *, owner: str, output: int) -> dict[str, Any]:
    """Return the keyword arguments that start the program, whichever way processes are started."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        "env": {**inherited, **program.environment, OWNER_VARIABLE: owner},
        "cwd": program.folder,
        "stdin": subprocess.DEVNULL,
        "stdout": output,
        "stderr": subprocess.STDOUT,
        # A group of its own: Ctrl-C is the supervisor's to handle, and grandchildren go with it.
        "start_new_session": True,
    }


def prepare(program: Program) -> None:
    """Make what the program needs; LocalCloudError when that cannot be."""
    try:
        program.prepare()
    except OSError as error:
        raise LocalCloudError(f"{program.name} cannot be prepared: {error}") from error


class Child:
    """A running program, for those who have no event loop (tests)."""

    def __init__(self, program: Program, *, owner: str, log: Path) -> None:
        self._program = program
        self._log = log
        prepare(program)
        with log.open("ab") as output:
            options = spawn_options(program, owner=owner, output=output.fileno())
            self._process = subprocess.Popen(program.command, **options)

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's too."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Block until the program is ready; LocalCloudError when it dies or takes too long."""
        deadline = time.monotonic() + self._program.ready_within_s
        while not self._program.ready(self.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LocalCloudError(f"{self._program.name} did not start: {last_line(self._log)}")
            time.sleep(POLL_S)

    def stop(self, *, within_s: float = 10.0) -> None:
        """Stop it the way it likes, by force after `within_s`."""
        self._process.send_signal(self._program.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """End it and its process group at once."""
        kill_group(self.pid, signal.SIGKILL)
        self._process.wait()


def last_line(log: Path) -> str:
    """Return the last line with something on it, for an error message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
