"""The clients' own environments in .clients/: `python -m tests.clients.environments` makes them.

Each is kept until its pins change.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks import environments
from tests.support.repository import ROOT

FOLDER = ROOT / ".clients"
_HERE = Path(__file__).parent
_NODE = Path(sys.executable).parent


def python(name: str) -> Path:
    """Return the `bin` folder of a client's virtual environment."""
    return FOLDER / "python" / name / "bin"


def node(name: str) -> Path:
    """Return the folder of a client's npm project."""
    return FOLDER / "node" / name


def make_all() -> None:
    """Make what is missing or has other pins."""
    for requirements in sorted((_HERE / "requirements").glob("*.txt")):
        environments.ensure(
            requirements.stem, requirements=requirements.parent, home=FOLDER / "python"
        )
    for project in sorted((_HERE / "node").iterdir()):
        _make_node(project)


def _make_node(project: Path) -> None:
    files = [project / "package.json", project / "package-lock.json", ROOT / ".npmrc"]
    folder, digest = node(project.name), _digest(files)
    stamp = folder / "pins.sha256"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print(f"clients: installing {project.name} into {folder}", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    subprocess.run(["npm", "ci"], cwd=folder, env=node_environ(), check=True, timeout=600)
    stamp.write_text(digest)


def node_environ() -> dict[str, str]:
    """Return the environment in which `node` and `npm` are those of Axon's own packages."""
    return os.environ | {"PATH": f"{_NODE}{os.pathsep}{os.environ['PATH']}"}


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    make_all()
