"""Finds programs in installed wheels without importing their packages."""

from importlib.util import find_spec
from pathlib import Path

from local.errors import LocalCloudError
from local.installation import setup_hint


def program_in(package: str, pattern: str, *, extra: str = "local") -> str:
    """Return the path of a program in an installed package.

    Parameters
    ----------
    package : str
        Name by which the package is imported.
    pattern : str
        Glob below the package's folder; a wheel holds the one program of its platform.
    extra : str
        Extra of Axon that installs the package.

    Raises
    ------
    LocalCloudError
        The package or the program is missing.
    """
    spec = find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    for folder in folders:
        for path in Path(folder).glob(pattern):
            return str(path)
    raise LocalCloudError(f"{package} is not installed; {setup_hint(extra)}")
