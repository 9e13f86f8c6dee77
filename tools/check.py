"""Runs the unit tests of what changed: ``python -m tools.check [all]``, used by ``make check``."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.affected import affected_tests, changed_files
from tools.modules import ModuleTree

UNIT_TESTS = Path("tests/unit")
PROCESSES = 2
FILES_WORTH_A_PROCESS = 4
"""A second pytest process starts in about 2 s, in which a few files of unit tests have run."""


def pytest_command(tests: Sequence[Path]) -> list[str]:
    """Return the command that runs these files or folders of tests."""
    alone = len(tests) < FILES_WORTH_A_PROCESS and UNIT_TESTS not in tests
    options = ["-q", "-n", "0" if alone else str(PROCESSES)]
    return [sys.executable, "-m", "pytest", *options, *map(str, tests)]


def chosen_tests(root: Path, what: str, base: str | None) -> list[Path]:
    """Return the tests to run.

    Parameters
    ----------
    root : Path
        Folder of the checkout.
    what : str
        ``all`` unit tests, or those of what ``changed``.
    base : str | None
        The commit that the change starts from; see `changed_files`.
    """
    if what == "all":
        return [UNIT_TESTS]
    return affected_tests(ModuleTree(root), changed_files(root, base))


def main() -> None:
    """Choose the tests, print how many there are, and run them."""
    parser = argparse.ArgumentParser(prog="python -m tools.check", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["changed", "all"], default="changed")
    parser.add_argument(
        "--base", help="commit to compare with (where this branch left origin/main)"
    )
    options = parser.parse_args()
    tests = chosen_tests(Path(), options.what, options.base)
    print(f"check: {len(tests)} files or folders of unit tests; make test runs all tests")
    sys.exit(subprocess.call(pytest_command(tests)))


if __name__ == "__main__":
    main()
