"""The emulator's environment, made on first use from frozen pins under ``.tools/ministack``."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT

FOLDER = ROOT / ".tools" / "ministack"
NODE_MODULES = FOLDER / "node_modules"
_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "requirements.txt"
_NODE = (_HERE / "node" / "package.json", _HERE / "node" / "package-lock.json")


def ensure() -> str:
    """Return the emulator's Python, making its environment when the pins are new.

    Raises
    ------
    subprocess.CalledProcessError
        When uv or npm fails.
    """
    pins = b"".join(file.read_bytes() for file in (_REQUIREMENTS, *_NODE))
    digest = hashlib.sha256(sys.version.encode() + pins).hexdigest()
    python = str(FOLDER / "bin" / "python")
    stamp = FOLDER / "pins.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        _uv("venv", "--clear", "--python", sys.executable, str(FOLDER))
        _uv("pip", "install", "--python", python, "--requirements", str(_REQUIREMENTS))
        _npm()
        stamp.write_text(digest)
    return python


def with_node() -> dict[str, str]:
    """Return our environment with our Node.js and its tools first in the path."""
    tools = Path(sys.executable).parent
    return os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "JSII_NODE": str(tools / "node")}


def _uv(*arguments: str) -> None:
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    uv = str(ROOT / ".tools" / "bin" / "uv")
    subprocess.run([uv, "--quiet", *arguments], check=True, env=environment)


def _npm() -> None:
    for file in (*_NODE, ROOT / ".npmrc"):
        shutil.copy(file, FOLDER)
    subprocess.run(["npm", "ci", "--silent"], check=True, cwd=FOLDER, env=with_node())
