"""The places of Axon's files: in a checkout of the repository, or in an installed wheel."""

from importlib.util import find_spec
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLE = _PACKAGE / "bundle"
"""Files that only the wheel has; `pyproject.toml` copies them there from the repository."""

CHECKOUT: Path | None = None if _BUNDLE.is_dir() else _PACKAGE.parent
"""Root of the repository, None in an installed wheel."""

FUNCTIONS = (CHECKOUT or _BUNDLE) / "functions"
"""Folder with one folder a Lambda function."""

NPM = CHECKOUT or _BUNDLE
"""Folder of `package.json` and `package-lock.json`."""

COMMAND = "axon" if CHECKOUT is None else ".venv/bin/axon"
"""The command, as a person types it."""


def setup_hint(extra: str = "local") -> str:
    """Return how to get a package that is missing, from the extra that has it."""
    return "run `make setup`" if CHECKOUT else f"install axon[{extra}]"


def parent_of(package: str) -> Path:
    """Return the folder from which a package of Axon is imported.

    Raises
    ------
    ModuleNotFoundError
        There is no such package.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {package!r}", name=package)
    return Path(spec.origin).parents[1]


def link_packages(folder: Path, *packages: str) -> Path:
    """Make a folder from which another interpreter imports these packages, and no others.

    In an installed wheel they lie beside the packages of this interpreter, which must not come
    before the other interpreter's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        link = folder / package
        # A link of an earlier run may lead to another installation.
        link.unlink(missing_ok=True)
        link.symlink_to(parent_of(package) / package)
    return folder
