"""The folders of one local cloud."""

from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalCloudError
from local.private_folders import make_private
from local.supervision.run_files import RunFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class Folders:
    """The folders of one local cloud.

    Parameters
    ----------
    root : Path
        Folder that `--data` names.
    storage : Path
        Folder of the servers' data: `root`, or a temporary folder for `--ephemeral`.
    """

    root: Path
    storage: Path

    @property
    def run(self) -> Path:
        """Process ids, configurations and endpoints of what runs now."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """Output of the processes."""
        return self.root / "log"

    @property
    def run_files(self) -> RunFiles:
        """The supervisor's files in these folders."""
        return RunFiles(run=self.run, log=self.log)

    def make(self) -> None:
        """Create the folders that are missing, and close all of them to other users.

        Raises
        ------
        LocalCloudError
            A folder cannot be made or closed, or is not this user's alone.
        """
        for folder in (self.root, self.run, self.log, self.storage):
            try:
                make_private(folder)
            except OSError as error:
                raise LocalCloudError(f"cannot make {folder}: {error.strerror}") from error
