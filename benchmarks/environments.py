"""Virtual environments of the peers under .bench/, created on first use from frozen pins."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"
_REQUIREMENTS = Path(__file__).parent / "requirements"


def ensure(name: str) -> Path:
    """Return the `bin` folder of an environment; create the environment if its pins have changed.

    Raises
    ------
    subprocess.CalledProcessError
        uv failed.
    """
    requirements = _REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = BENCH / name
    stamp = folder / "pins.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        print(f"bench: installing {name} into {folder}", file=sys.stderr, flush=True)
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        python = str(folder / "bin" / "python")
        _uv("pip", "install", "--python", python, "--requirements", str(requirements))
        stamp.write_text(digest)
    return folder / "bin"


def _uv(*arguments: str) -> None:
    own = ROOT / ".tools" / "bin" / "uv"
    uv = str(own) if own.is_file() else shutil.which("uv") or "uv"
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([uv, "--quiet", *arguments], check=True, env=environment)
