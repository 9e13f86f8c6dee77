"""Virtual environments of other projects' programs, created on first use from frozen pins."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"
_REQUIREMENTS = Path(__file__).parent / "requirements"


def ensure(name: str, *, requirements: Path = _REQUIREMENTS, home: Path = BENCH) -> Path:
    """Return the `bin` folder of an environment; create the environment if its pins have changed.

    Parameters
    ----------
    name : str
        Name of the environment's folder, and of the file with its pins.
    requirements : Path
        Folder of the files with pins.
    home : Path
        Folder of the environments.

    Raises
    ------
    subprocess.CalledProcessError
        uv failed, or a pin has no hash, or another one than the package.
    """
    pins = requirements / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    folder = home / name
    stamp = folder / "pins.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        print(f"installing {name} into {folder}", file=sys.stderr, flush=True)
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        python = str(folder / "bin" / "python")
        # CI runs what these bring: a package that was changed at its registry is refused.
        options = ("--python", python, "--require-hashes", "--requirements", str(pins))
        _uv("pip", "install", *options)
        stamp.write_text(digest)
    return folder / "bin"


def _uv(*arguments: str) -> None:
    own = ROOT / ".tools" / "bin" / "uv"
    uv = str(own) if own.is_file() else shutil.which("uv") or "uv"
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([uv, "--quiet", *arguments], check=True, env=environment)
