"""Runs an image's commands without building it: its files in a folder, this interpreter."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.infra.support.dockerfile import ROOT, Dockerfile


def unpack(name: str, folder: Path) -> Dockerfile:
    """Put into `folder` what the image's COPY instructions put into its working directory."""
    dockerfile = Dockerfile.read(name)
    for source, destination in dockerfile.image.copies:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, folder / destination, ignore=ignored)
    return dockerfile


def adapted(folder: Path, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return a command of an image for this interpreter; only `folder` holds Axon's modules."""
    site = [path for path in sys.path if path.endswith("site-packages")]
    paths = os.pathsep.join([str(folder), *site])
    return [sys.executable, "-S", *command[1:]], {"PYTHONPATH": paths}


def run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    program, environ = adapted(folder, command)
    return subprocess.run(
        program, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def started(
    folder: Path, command: list[str], environ: dict[str, str], *, under: Sequence[str] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command until the block ends; `under` is what runs it, if not this process."""
    program, paths = adapted(folder, command)
    process = subprocess.Popen([*under, *program], cwd=folder, env=environ | paths)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
