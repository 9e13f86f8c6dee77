"""The user's folder for copies of models, closed to the machine's other users."""

import os
import stat
from pathlib import Path

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
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check(folder)
        folder.chmod(0o700)
    except OSError as error:
        raise EngineError(f"cannot make the folder for copies of models {folder}: {error}") from (
            error
        )


def _check(folder: Path) -> None:
    user = os.geteuid()
    # The link's owner, too: another user may have laid it where the folder was expected.
    owners = {folder.lstat().st_uid, folder.stat().st_uid}
    parent = folder.parent.stat()
    # In a sticky folder such as /tmp nobody can rename what is another's.
    open_to_all = parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX
    if owners != {user} or parent.st_uid not in {user, 0} or open_to_all:
        raise EngineError(
            f"{folder} can be replaced by another user; set XDG_CACHE_HOME to a folder of your own"
        )
    if folder.stat().st_mode & stat.S_ISVTX:
        raise EngineError(
            f"{folder} is shared with other users; set XDG_CACHE_HOME to a folder of your own"
        )
