"""The dependency layer: wheels of the lock for Lambda's platform, installed without Docker."""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import ILocalBundling

from infra.settings.environment import Architecture

ROOT = Path(__file__).resolve().parents[3]

# Amazon Linux 2023, on which Lambda runs Python 3.12 and newer, has glibc 2.34.
PLATFORMS: dict[Architecture, str] = {
    "arm64": "aarch64-manylinux_2_28",
    "x86_64": "x86_64-manylinux_2_28",
}


class WheelsError(Exception):
    """The wheels cannot be installed; the text says why, in one line."""


@jsii.implements(ILocalBundling)
class Wheels:
    """Installs the lock's production packages into the ``python`` folder of a layer.

    Attributes
    ----------
    fingerprint
        Hash of lock, extras, Python version and architecture.
    failure : WheelsError | None
        The error of `try_bundle`, which jsii does not pass on to the caller.
    """

    def __init__(
        self, *, python: str, architecture: Architecture, extras: Sequence[str] = ()
    ) -> None:
        self.failure: WheelsError | None = None
        self._python = python
        self._platform = PLATFORMS[architecture]
        self._requirements = requirements(extras)
        text = "\n".join((self._python, self._platform, self._requirements))
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def try_bundle(self, output_dir: str, *_args: Any, **_options: Any) -> bool:
        """Install into `output_dir`, as CDK's interface requires.

        Always returns True: False would make CDK fall back to Docker.

        Raises
        ------
        WheelsError
            Uv is missing or failed.
        """
        try:
            self.install(Path(output_dir))
        except WheelsError as error:
            self.failure = error
            raise
        return True

    def install(self, folder: Path) -> None:
        """Install into ``<folder>/python``.

        Raises
        ------
        WheelsError
            Uv is missing or failed.
        """
        target = folder / "python"
        _uv(
            *("pip", "install", "--requirements", "-", "--require-hashes", "--no-deps"),
            *("--target", str(target), "--only-binary", ":all:", "--no-compile-bytecode"),
            *("--python-version", self._python, "--python-platform", self._platform),
            given=self._requirements,
        )
        # Console scripts name the build machine's interpreter: the layer would differ by machine.
        shutil.rmtree(target / "bin", ignore_errors=True)
        (target / ".lock").unlink(missing_ok=True)


def requirements(extras: Sequence[str] = ()) -> str:
    """Return the production requirements with exact versions and hashes, from the lock.

    Parameters
    ----------
    extras : Sequence[str]
        Extras of the project whose requirements are included.

    Raises
    ------
    WheelsError
        Uv is missing or failed.
    """
    options = ("--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate")
    return _uv("export", *options, *(f"--extra={extra}" for extra in extras))


def _uv(*arguments: str, given: str = "") -> str:
    own = ROOT / ".tools/bin/uv"
    program = str(own) if own.exists() else shutil.which("uv")
    if program is None:
        raise WheelsError("uv is missing: run `make setup`")
    done = subprocess.run(
        [program, "--quiet", *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise WheelsError(f"uv {arguments[0]} failed: {said}")
    return done.stdout
