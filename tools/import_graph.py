"""Prints the imports between the packages of this repository: ``python -m tools.import_graph``.

The tables are Markdown. In the first, a package's boxes are the files and folders directly in it,
and for ``infra`` also those in ``infra/constructs``. In the second, each module is a box. The third
lists sizes. An arrow is an import of one box by another, also under ``TYPE_CHECKING``. Floors are
the boxes of the longest chain of arrows. Tests are left out.
"""

import argparse
import ast
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.graph import cycles, floors, merged, upward_arrows
from tools.modules import ModuleTree

PACKAGES = (
    "axon",
    "worker",
    "relay",
    "front",
    "functions",
    "infra",
    "local",
    "cli",
    "benchmarks",
    "tools",
)
OPENED = ("infra.constructs",)
"""Packages whose files and folders are boxes of the package above, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Boxes of a package and the arrows between them."""

    boxes: int
    floors: int
    arrows: int
    upward: tuple[tuple[str, str], ...]
    cycles: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of modules and functions, in lines."""

    modules: int
    module_lines: int
    module_median: int
    module_largest: int
    functions: int
    function_p50: int
    function_p99: int
    function_largest: int


def box_of(module: str, package: str) -> str | None:
    """Return the box of a package that a module is in.

    Parameters
    ----------
    module : str
        The module's name.
    package : str
        Name of a package, or "" for the whole: its boxes are the top-level packages.

    Returns
    -------
    str | None
        None if the module is not in the package, or is its ``__init__``.
    """
    inside = f"{package}." if package else ""
    opened = [name for name in OPENED if package and name.startswith(inside)]
    for prefix in [*(f"{name}." for name in opened), inside]:
        if module.startswith(prefix) and module not in opened:
            return prefix + module.removeprefix(prefix).partition(".")[0]
    return None


def shape_of(tree: ModuleTree, package: str) -> Shape:
    """Return the shape of a package, or of the whole for ""."""
    boxes = {module: box_of(module, package) for module in source_modules(tree)}
    return _shape(merged(tree.graph, {module: box for module, box in boxes.items() if box}))


def shape_of_modules(tree: ModuleTree, package: str) -> Shape:
    """Return the shape of a package, or of the whole for "", with each module as a box."""
    modules = [name for name in source_modules(tree) if _is_inside(name, package)]
    return _shape(merged(tree.graph, {module: module for module in modules}))


def sizes_of(tree: ModuleTree, package: str) -> Sizes:
    """Return the sizes of a package's modules and functions, or of the whole for ""."""
    modules = [name for name in source_modules(tree) if _is_inside(name, package)]
    lines = [_line_count(tree.root / tree.paths[name]) for name in modules]
    functions = [length for name in modules for length in function_lengths(tree.parse(name))]
    return Sizes(
        modules=len(modules),
        module_lines=sum(lines),
        module_median=int(statistics.median(lines)) if lines else 0,
        module_largest=max(lines, default=0),
        functions=len(functions),
        function_p50=percentile(functions, 50),
        function_p99=percentile(functions, 99),
        function_largest=max(functions, default=0),
    )


def source_modules(tree: ModuleTree) -> list[str]:
    """Return the names of all modules that are no tests, sorted."""
    return sorted(name for name in tree.paths if not _is_inside(name, "tests"))


def function_lengths(module: ast.Module) -> list[int]:
    """Return the lines of each function, from ``def`` to its last line."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least this percentage of the values does not exceed."""
    if not values:
        return 0
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def report(tree: ModuleTree) -> str:
    """Return the tables for every package and the whole, and what breaks the order."""
    present = [name for name in PACKAGES if any(_is_inside(module, name) for module in tree.paths)]
    packages = {"whole": "", **{name: name for name in present}}
    boxes = {name: shape_of(tree, package) for name, package in packages.items()}
    modules = {name: shape_of_modules(tree, package) for name, package in packages.items()}
    sizes = {name: sizes_of(tree, package) for name, package in packages.items()}
    tables = [_shape_table("boxes", boxes), _shape_table("modules", modules), _size_table(sizes)]
    return "\n".join(
        [*(line for table in tables for line in [*table, ""]), *_faults(boxes, modules)]
    )


def main() -> None:
    """Print the report of a checkout."""
    parser = argparse.ArgumentParser(prog="python -m tools.import_graph", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="folder of a checkout (here)")
    print(report(ModuleTree(parser.parse_args().root)))


def _shape(graph: Mapping[str, set[str]]) -> Shape:
    return Shape(
        boxes=len(graph),
        floors=floors(graph),
        arrows=sum(map(len, graph.values())),
        upward=tuple(upward_arrows(graph)),
        cycles=tuple(map(tuple, cycles(graph))),
    )


def _is_inside(module: str, package: str) -> bool:
    return not package or module == package or module.startswith(f"{package}.")


def _line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _shape_table(kind: str, shapes: Mapping[str, Shape]) -> list[str]:
    return _table(
        ("package", kind, "floors", "arrows", "upward", "cycles"),
        [
            (name, shape.boxes, shape.floors, shape.arrows, len(shape.upward), len(shape.cycles))
            for name, shape in shapes.items()
        ],
    )


def _size_table(sizes: Mapping[str, Sizes]) -> list[str]:
    return _table(
        ("package", "files", "lines", "lines a file, median / max", "functions", "p50 / p99 / max"),
        [
            (
                name,
                size.modules,
                size.module_lines,
                f"{size.module_median} / {size.module_largest}",
                size.functions,
                f"{size.function_p50} / {size.function_p99} / {size.function_largest}",
            )
            for name, size in sizes.items()
        ],
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["-"] * len(header), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def _faults(*views: Mapping[str, Shape]) -> list[str]:
    return [
        f"- {name}: {start} > {end} points upward"
        for shapes in views
        for name, shape in shapes.items()
        for start, end in shape.upward
    ]


if __name__ == "__main__":
    main()
