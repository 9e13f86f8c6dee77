"""Python modules of a checkout and the imports between them, read with ``ast``."""

import ast
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SOURCE_ROOTS = (
    "layers/shared/python",
    "inference_container",
    "relay_container",
    "front_container",
    "",
)
"""Folders from which modules are imported; the first one that holds a file names its module."""

SKIPPED = {"node_modules", "cdk.out", "build", "dist", "__pycache__"}
"""Folders without sources of this repository; so are those whose name begins with a dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import of a module of this repository by another one.

    Parameters
    ----------
    importer : str
        Name of the module that holds the import.
    imported : str
        Name of the module that it needs. For ``from a.b import c``: ``a.b.c`` if that is a module,
        else ``a.b``.
    names : tuple[str, ...]
        Names that are taken from it; empty for ``import a.b``.
    path : Path
        File that holds the import, below the root of the checkout.
    line : int
        Its line.
    """

    importer: str
    imported: str
    names: tuple[str, ...]
    path: Path
    line: int

    @property
    def place(self) -> str:
        """File and line, as compilers write them."""
        return f"{self.path}:{self.line}"


class ModuleTree:
    """All Python modules of a checkout.

    Imports under ``TYPE_CHECKING`` and inside functions count like any other. Modules that are only
    named in a string (``python -m``) do not.

    Parameters
    ----------
    root : Path
        Folder of the checkout.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """File of each module, below the root, by the module's name."""
        return {module_name(path): path for path in _python_files(self.root)}

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Imports between modules of this checkout, by file and line."""
        return tuple(found for name in sorted(self.paths) for found in self._imports_of(name))

    @cached_property
    def graph(self) -> Mapping[str, frozenset[str]]:
        """Modules that each module imports."""
        found: dict[str, set[str]] = {name: set() for name in self.paths}
        for one in self.imports:
            if one.importer != one.imported:
                found[one.importer].add(one.imported)
        return {name: frozenset(needed) for name, needed in found.items()}

    @cached_property
    def imported_names(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Name and line of each import of a module, from this repository or another project.

        For ``from a.b import c`` it is ``a.b.c`` if that is a module of this repository, else
        ``a.b``.
        """
        return {
            module: tuple(
                (self._resolve(target, name) or target, line) for target, name, line in found
            )
            for module, found in self._statements.items()
        }

    def parse(self, module: str) -> ast.Module:
        """Return the module's syntax tree.

        Raises
        ------
        SyntaxError
            The running Python cannot read the file.
        """
        return ast.parse((self.root / self.paths[module]).read_text(encoding="utf-8"))

    @cached_property
    def _statements(self) -> Mapping[str, tuple[tuple[str, str | None, int], ...]]:
        """Module, name and line of each import; no name for ``import module``."""
        return {module: tuple(self._statements_of(module)) for module in self.paths}

    def _statements_of(self, module: str) -> Iterator[tuple[str, str | None, int]]:
        package = self._package(module)
        for node in ast.walk(self.parse(module)):
            for target, name in _targets(node, package):
                yield target, name, getattr(node, "lineno", 0)

    def _imports_of(self, importer: str) -> Iterator[Import]:
        for target, name, line in self._statements[importer]:
            imported = self._resolve(target, name)
            if imported is not None:
                yield Import(
                    importer=importer,
                    imported=imported,
                    names=(name,) if name and imported == target else (),
                    path=self.paths[importer],
                    line=line,
                )

    def _package(self, module: str) -> str:
        is_package = self.paths[module].name == "__init__.py"
        return module if is_package else module.rpartition(".")[0]

    def _resolve(self, target: str, name: str | None) -> str | None:
        """Return the module that ``from target import name`` needs, if it is in this checkout."""
        if name is not None and f"{target}.{name}" in self.paths:
            return f"{target}.{name}"
        while target and target not in self.paths:
            target = target.rpartition(".")[0]
        return target or None


def module_name(path: Path) -> str:
    """Return the name by which a file below the checkout's root is imported."""
    root = next(
        root for root in SOURCE_ROOTS if path.as_posix().startswith(f"{root}/" if root else "")
    )
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _python_files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                yield (Path(folder) / name).relative_to(root)


def _targets(node: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
    """Yield module and name of what a node imports; no name for ``import module``."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        yield from ((module, alias.name) for alias in node.names)
