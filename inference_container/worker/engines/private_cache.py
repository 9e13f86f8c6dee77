"""The user's folder for copies of models, closed to the machine's other users."""

import os
import stat
from pathlib import Path

from axon import private_folders
from axon.private_folders import ForeignFolderError, SharedFolderError
from worker.engines.protocol import EngineError


def cache_folder() -> Path:
    """Return the user's folder for copies: ``axon/models`` in XDG_CACHE_HOME, or in ``~/.cache``.

    Never one of a fixed name in ``/tmp``: another user could make it first, and fill it. The images
    set HOME and XDG_CACHE_HOME to their scratch volume.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification of XDG says to ignore a path that is not absolute.
    return (base if base.is_absolute() else Path.home() / ".cache") / "axon" / "models"


def make_private(folder: Path) -> None:
    """Make a folder, or close an existing one to other users.

    Raises
    ------
    EngineError
        It cannot be made or closed, or it or the folder around it is another user's, who could
        replace all that is in it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check_around(folder.parent)
        private_folders.make_private(folder)
    except ForeignFolderError:
        raise EngineError(
            f"{folder} can be replaced by another user; set XDG_CACHE_HOME to a folder of your own"
        ) from None
    except SharedFolderError as error:
        raise EngineError(f"{error}; set XDG_CACHE_HOME to a folder of your own") from None
    except OSError as error:
        raise EngineError(f"cannot make the folder for copies of models {folder}: {error}") from (
            error
        )


def _check_around(around: Path) -> None:
    """Raise `ForeignFolderError` if another user could rename the folders in a folder."""
    status = around.stat()
    # In a sticky folder such as /tmp nobody can rename what is another's.
    writable = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    if status.st_uid not in {os.geteuid(), 0} or writable:
        raise ForeignFolderError(f"{around} belongs to another user")
