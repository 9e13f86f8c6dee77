"""Folders that other users of the machine can neither read nor change."""

import os
import stat
from pathlib import Path

from local.errors import LocalCloudError


def make_private(folder: Path) -> None:
    """Make a folder, or close an existing one to other users.

    Raises
    ------
    OSError
        It cannot be made or closed.
    LocalCloudError
        Every user of the machine writes into it, or it is another user's, who could read and
        replace all that is in it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check(folder)
    folder.chmod(0o700)


def _check(folder: Path) -> None:
    if folder.stat().st_mode & stat.S_ISVTX:
        raise LocalCloudError(
            f"{folder} is shared with other users; choose a folder of your own with --data"
        )
    # The link's owner, too: another user may have laid it where the folder was expected.
    if {folder.lstat().st_uid, folder.stat().st_uid} != {os.geteuid()}:
        raise LocalCloudError(
            f"{folder} belongs to another user; choose a folder of your own with --data"
        )
