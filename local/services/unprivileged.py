"""Runs PostgreSQL as another user than root, which it refuses."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.errors import LocalCloudError

# A user namespace: the files stay root's, wherever they are, yet the server sees another user.
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
NOBODY = ("setpriv", "--reuid=nobody", "--regid=65534", "--clear-groups")


@functools.cache
def command_prefix() -> tuple[str, ...]:
    """Return the start of a command line that runs a command as another user than root.

    Raises
    ------
    LocalCloudError
        This process is root and cannot change its user.
    """
    if os.geteuid() != 0:
        return ()
    for prefix in (NAMESPACE, NOBODY):
        if sys.platform == "linux" and _works((*prefix, "true")):
            return prefix
    raise LocalCloudError("PostgreSQL does not run as root; start this as another user")


def give_folder(folder: Path) -> None:
    """Make the folder writable for the user that `command_prefix` changes to.

    Raises
    ------
    LocalCloudError
        That user cannot reach the folder.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    if command_prefix() != NOBODY:
        return
    shutil.chown(folder, "nobody", 65534)
    folder.parent.chmod(0o711)  # user nobody must pass through the data folder
    if not _works((*NOBODY, "test", "-w", str(folder))):
        raise LocalCloudError(
            f"PostgreSQL does not run as root, and user nobody cannot reach {folder}; "
            "choose a folder that everybody can reach with --data"
        )


def _works(command: tuple[str, ...]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
