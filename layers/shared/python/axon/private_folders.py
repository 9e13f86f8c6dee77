"""Folders that other users of the machine can neither read nor change."""

import os
import stat
from pathlib import Path


class NotPrivateError(Exception):
    """Other users of the machine could read a folder, or replace all that is in it."""


class SharedFolderError(NotPrivateError):
    """Every user of the machine writes into the folder."""


class ForeignFolderError(NotPrivateError):
    """The folder is another user's."""


def make_private(folder: Path) -> None:
    """Make a folder, or close an existing one to other users.

    Raises
    ------
    OSError
        It cannot be made or closed.
    SharedFolderError, ForeignFolderError
        It is not this user's alone.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & stat.S_ISVTX:
        raise SharedFolderError(f"{folder} is shared with other users")
    # The link's owner, too: another user may have laid it where the folder was expected.
    if {folder.lstat().st_uid, folder.stat().st_uid} != {os.geteuid()}:
        raise ForeignFolderError(f"{folder} belongs to another user")
    folder.chmod(0o700)
