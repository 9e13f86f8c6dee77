"""Where the wheels keep their programs, found without importing the packages."""

from importlib.util import find_spec
from pathlib import Path

from local.errors import LocalCloudError


def program_in(package: str, pattern: str) -> str:
    """Return the path of the program in an installed package; LocalCloudError when it is missing.

    Parameters
    ----------
    pattern
        Glob below the package's folder; a wheel holds the one program of its platform.
    """
    spec = find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    for folder in folders:
        for path in Path(folder).glob(pattern):
            return str(path)
    raise LocalCloudError(f"{package} is not installed; run `make setup`")
