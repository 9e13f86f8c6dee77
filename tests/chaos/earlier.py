"""The tree of an earlier commit with a virtual environment of its own, kept between runs."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".beside"
"""One folder for each commit; `make clean` removes them."""
SETUP_TIMEOUT_S = 900
"""A first `uv sync` downloads about 1 GB; with a filled cache it takes 15 s."""


class EarlierTreeError(Exception):
    """The tree cannot be made; the message says why and what helps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTree:
    """A commit's files, and the interpreter that has the packages of its lock file."""

    commit: str
    folder: Path

    @property
    def python(self) -> Path:
        """Interpreter of the tree's virtual environment, in which the tree itself is installed."""
        return self.folder / ".venv" / "bin" / "python"

    @property
    def functions(self) -> Path:
        """Folder with one folder a Lambda function."""
        return self.folder / "functions"

    @property
    def layer(self) -> Path:
        """Folder from which the functions import the library."""
        return self.folder / "layers" / "shared" / "python"


def prepared(commit: str, *, say: Callable[[str], None], root: Path = KEPT) -> EarlierTree:
    """Return the tree of a commit; make it and its virtual environment unless they exist.

    Raises
    ------
    EarlierTreeError
        There is no such commit here, or its `make` failed.
    """
    full = _output("git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").strip()
    tree = EarlierTree(commit=full, folder=root / full[:12])
    if not tree.folder.is_dir():
        say(f"taking {commit} into {tree.folder}")
        _extract(tree)
    # Make does nothing where this is up to date, so a setup that was interrupted is completed.
    say(f"setting up the virtual environment of {commit}")
    _output("make", "--no-print-directory", ".venv/.synced", folder=tree.folder)
    return tree


def _extract(tree: EarlierTree) -> None:
    # Not `git worktree`: it registers the folder in the repository, and a run that is killed would
    # leave that behind. The rename comes last, so that a folder that exists is complete.
    unfinished = tree.folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    archive = unfinished.with_suffix(".tar")
    _output("git", "archive", f"--output={archive}", tree.commit)
    shutil.unpack_archive(archive, unfinished, filter="data")
    archive.unlink()
    unfinished.rename(tree.folder)


def _output(*command: str, folder: Path = ROOT) -> str:
    """Return what a command prints.

    Raises
    ------
    EarlierTreeError
        It failed or did not end in time.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, text=True, capture_output=True, timeout=SETUP_TIMEOUT_S
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = error.stderr or "no such commit here; `git fetch --unshallow` may help"
        raise EarlierTreeError(f"{' '.join(command)} in {folder}: {said!s:.2000}") from error
    return done.stdout
