"""The folders of one local cloud, and the lock that makes it the only one on them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalCloudError
from local.files import replace_file
from local.supervision.leftovers import end_leftovers


@dataclass(frozen=True, kw_only=True, slots=True)
class Folders:
    """`root` is what --data names; `storage` is where the servers keep their data."""

    root: Path
    storage: Path

    @property
    def run(self) -> Path:
        """Process ids, configurations and endpoints of what runs now."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.root / "log"

    @property
    def owner(self) -> str:
        """What the processes of this run carry in their environment.

        Not only the folder: the guardian of a killed run must not end what the next run starts.
        """
        return f"{self.run}:{os.getpid()}"

    def pid_file(self, name: str) -> Path:
        """Where the process id of the process `name` is."""
        return self.run / f"{name}.pid"

    def make(self) -> None:
        """Create what is missing."""
        for folder in (self.root, self.run, self.log, self.storage):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise LocalCloudError(f"cannot make {folder}: {error.strerror}") from error


@contextmanager
def claimed(folders: Folders) -> Iterator[None]:
    """Hold the folders' lock; LocalCloudError when a running local cloud has it.

    Whatever an earlier run left behind when it was killed is ended and cleared away first.
    """
    own_pid_file = folders.pid_file("supervisor")
    with (folders.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LocalCloudError(f"{folders.root} is in use {_by(own_pid_file)}") from error
        _clear(folders)
        replace_file(own_pid_file, str(os.getpid()))
        try:
            yield
        finally:
            _remove_run_files(folders)


def _by(pid_file: Path) -> str:
    try:
        return f"by another `axon dev` (process {pid_file.read_text()})"
    except OSError:
        return "by another `axon dev`"


def _clear(folders: Folders) -> None:
    # A run that ended in good order leaves no pid file, and no need to search.
    if any(folders.run.glob("*.pid")):
        end_leftovers(str(folders.run))
    _remove_run_files(folders)


def _remove_run_files(folders: Folders) -> None:
    for pattern in ("*.pid", "*.json"):
        for path in folders.run.glob(pattern):
            path.unlink(missing_ok=True)
