"""Private folders, with the option that names another one."""

from pathlib import Path

from axon import private_folders
from axon.private_folders import NotPrivateError
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
    try:
        private_folders.make_private(folder)
    except NotPrivateError as error:
        raise LocalCloudError(f"{error}; choose a folder of your own with --data") from None
