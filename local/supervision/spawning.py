"""Prepare a program and start its process."""

import os
import subprocess
from pathlib import Path
from typing import Any

from local.errors import LocalCloudError
from local.supervision.program import OWNER_VARIABLE, Program

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "XDG_CACHE_HOME")
"""Variables that a process inherits. Not the user's AWS_* and PG*: no process of a local cloud may
reach a real account or database."""


def spawn_options(program: Program, *, owner: str, output: int) -> dict[str, Any]:
    """Return the keyword arguments that start the program, for `subprocess` and `asyncio` alike.

    Parameters
    ----------
    program : Program
        Its folder and environment are used.
    owner : str
        Value of AXON_LOCAL_OWNER for the process.
    output : int
        File descriptor for standard output and standard error.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        "env": {**inherited, **program.environment, OWNER_VARIABLE: owner},
        "cwd": program.folder,
        "stdin": subprocess.DEVNULL,
        "stdout": output,
        "stderr": subprocess.STDOUT,
        # A process group of its own: the terminal's Ctrl-C reaches the supervisor only, which
        # stops programs in order; and one signal to the group ends grandchildren too.
        "start_new_session": True,
    }


def prepare(program: Program) -> None:
    """Make what the program needs before it starts.

    Raises
    ------
    LocalCloudError
        It cannot be made.
    """
    try:
        program.prepare()
    except OSError as error:
        raise LocalCloudError(f"{program.name} cannot be prepared: {error}") from error


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty, for an error message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
