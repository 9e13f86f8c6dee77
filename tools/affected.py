"""Chooses the unit tests that a change may break, by the graph of imports."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.graph import reachable, reverse
from tools.modules import ModuleTree

UNIT = "tests.unit"
ALWAYS = f"{UNIT}.repository"
"""Tests of the repository as a whole: they read every file, so every change may break them."""

ALL = {"pyproject.toml", "uv.lock", "tests/conftest.py"}
"""Files that every test depends on."""

READ_BY_PATH = {f"{UNIT}.functions": "functions"}
"""Tests that load the modules of a package by their path instead of importing them."""


def changed_files(root: Path, base: str | None = None) -> set[Path]:
    """Return the files that differ from a commit, untracked ones among them.

    Parameters
    ----------
    root : Path
        Folder of the checkout.
    base : str | None
        The commit. By default the last one that this branch shares with ``origin/main``, or
        ``HEAD`` in a clone without ``origin/main``.

    Raises
    ------
    subprocess.CalledProcessError
        The folder is no git checkout, or the commit does not exist.
    """
    names = _git(root, "diff", "--name-only", base or _branch_point(root))
    untracked = _git(root, "ls-files", "--others", "--exclude-standard")
    return {Path(name) for name in (names + untracked).splitlines()}


def affected_tests(tree: ModuleTree, changed: Iterable[Path]) -> list[Path]:
    """Return the files of the unit tests that a change may break, sorted.

    A test depends on everything that it imports, directly or not, and on the ``conftest.py`` files
    of its folders below ``tests/unit``. A changed file that is not a module counts as a change of
    all modules in its folder, or in the nearest folder above that has any.

    Parameters
    ----------
    tree : ModuleTree
        The checkout.
    changed : Iterable[Path]
        Changed files, below the root.
    """
    changed = list(changed)
    tests = [name for name in tree.paths if _is_unit_test(name)]
    if not ALL.isdisjoint(path.as_posix() for path in changed):
        return sorted(tree.paths[name] for name in tests)
    starts = {module for path in changed for module in _modules_of(tree, path)}
    reached = reachable(reverse(dependencies(tree)), starts)
    return sorted(tree.paths[name] for name in tests if name in reached or _is_in(name, ALWAYS))


def dependencies(tree: ModuleTree) -> Mapping[str, set[str]]:
    """Return the modules that each module depends on: its imports, and what pytest loads for it."""
    graph = {name: set(imported) for name, imported in tree.graph.items()}
    for test in filter(_is_unit_test, tree.paths):
        graph[test] |= {name for name in _conftests(test) if name in tree.paths}
        for folder, package in READ_BY_PATH.items():
            if _is_in(test, folder):
                graph[test] |= {name for name in tree.paths if _is_in(name, package)}
    return graph


def _modules_of(tree: ModuleTree, path: Path) -> set[str]:
    by_path = {file: name for name, file in tree.paths.items()}
    if path in by_path:
        return {by_path[path]}
    # The repository's own folder has no modules that a README or a Makefile belongs to.
    for folder in list(path.parents)[:-1]:
        beside = {name for file, name in by_path.items() if file.parent == folder}
        if beside:
            return beside
    return set()


def _conftests(test: str) -> set[str]:
    parts = test.split(".")
    return {".".join([*parts[:end], "conftest"]) for end in range(2, len(parts))}


def _is_unit_test(module: str) -> bool:
    return _is_in(module, UNIT) and module.rpartition(".")[2].startswith("test_")


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _branch_point(root: Path) -> str:
    known = subprocess.run(
        ["git", "merge-base", "origin/main", "HEAD"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return known.stdout.strip() if known.returncode == 0 else "HEAD"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout
