"""The files of one run of a supervisor, and the lock that allows one run at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.atomic_files import replace_file
from local.errors import LocalCloudError
from local.supervision.leftovers import end_leftovers


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFiles:
    """Process ids, state and logs of the programs of one supervisor.

    Parameters
    ----------
    run : Path
        Folder of the files that describe this run; they are removed when it ends.
    log : Path
        Folder of the programs' output; it is kept.
    """

    run: Path
    log: Path

    @property
    def owner(self) -> str:
        """The value of AXON_LOCAL_OWNER in the environment of this run's processes.

        It names the supervisor's process besides the folder: the guardian of a killed run works
        while the next run starts on the same folder, and must not end the new run's processes.
        """
        return f"{self.run}:{os.getpid()}"

    @property
    def state_file(self) -> Path:
        """The file with every program's state, as `axon status` reads it."""
        return self.run / "state.json"

    def pid_file(self, name: str) -> Path:
        """Return the file that holds the process id of the program `name`."""
        return self.run / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        """Return the file that holds the output of the program `name`."""
        return self.log / f"{name}.log"


@contextmanager
def claimed(files: RunFiles) -> Iterator[None]:
    """Hold the lock of the run's folder.

    Processes and files that a killed run left behind are removed first.

    Raises
    ------
    LocalCloudError
        Another running supervisor holds the lock.
    """
    own_pid_file = files.pid_file("supervisor")
    # The kernel releases the lock when this process dies, in whatever way; a pid file alone could
    # name a dead process, or another one that got its id.
    with (files.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LocalCloudError(f"{files.run.parent} is in use {_by(own_pid_file)}") from error
        _clear(files)
        replace_file(own_pid_file, str(os.getpid()))
        try:
            yield
        finally:
            _remove_run_files(files)


def _by(pid_file: Path) -> str:
    try:
        return f"by another `axon dev` (process {pid_file.read_text()})"
    except OSError:
        return "by another `axon dev`"


def _clear(files: RunFiles) -> None:
    # A run that was stopped leaves no pid file: then there is no need to search all processes.
    if any(files.run.glob("*.pid")):
        end_leftovers(str(files.run))
    _remove_run_files(files)


def _remove_run_files(files: RunFiles) -> None:
    for pattern in ("*.pid", "*.json"):
        for path in files.run.glob(pattern):
            path.unlink(missing_ok=True)
