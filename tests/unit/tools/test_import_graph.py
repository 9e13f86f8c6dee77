"""Figures of a small checkout, and that the report runs on this one."""

import ast
from pathlib import Path

import pytest

from tests.unit.tools.checkout import make_tree
from tools.import_graph import (
    box_of,
    function_lengths,
    percentile,
    report,
    shape_of,
    shape_of_modules,
    sizes_of,
)

FILES = {
    "cli/__init__.py": "",
    "cli/main.py": "from cli.dlq import queue\nimport local.stack.cloud\n",
    "cli/dlq/__init__.py": "",
    "cli/dlq/queue.py": "from cli.dlq.message import Message\n",
    "cli/dlq/message.py": "def one():\n    return 1\n",
    "local/__init__.py": "",
    "local/stack/__init__.py": "",
    "local/stack/cloud.py": "import local.supervision.child\n",
    "local/supervision/__init__.py": "",
    "local/supervision/child.py": "import local.stack.cloud\n",
    "tests/unit/test_main.py": "import cli.main\n",
}


@pytest.mark.parametrize(
    ("module", "package", "box"),
    [
        ("cli.dlq.queue", "", "cli"),
        ("cli.dlq.queue", "cli", "cli.dlq"),
        ("cli.dlq", "cli", "cli.dlq"),
        ("cli", "cli", None),
        ("local.ports", "cli", None),
        ("infra.constructs.data.queue", "infra", "infra.constructs.data"),
        ("infra.constructs", "infra", None),
        ("infra.constructs.data.queue", "", "infra"),
    ],
)
def test_box_of_a_module_is_the_file_or_folder_in_the_package(
    module: str, package: str, box: str | None
) -> None:
    assert box_of(module, package) == box


def test_shape_of_the_whole_has_packages_as_boxes(tmp_path: Path) -> None:
    shape = shape_of(make_tree(tmp_path, FILES), "")
    assert (shape.boxes, shape.floors, shape.arrows, shape.cycles) == (2, 2, 1, ())


def test_shape_of_a_package_names_its_cycles(tmp_path: Path) -> None:
    shape = shape_of(make_tree(tmp_path, FILES), "local")
    assert shape.cycles == (("local.stack", "local.supervision"),)
    assert shape.upward == (("local.supervision", "local.stack"),)


def test_shape_of_modules_has_each_module_as_a_box(tmp_path: Path) -> None:
    shape = shape_of_modules(make_tree(tmp_path, FILES), "cli")
    assert (shape.boxes, shape.floors, shape.arrows) == (5, 3, 2)


def test_sizes_of_a_package_counts_files_and_lines(tmp_path: Path) -> None:
    sizes = sizes_of(make_tree(tmp_path, FILES), "cli")
    assert (sizes.modules, sizes.module_lines, sizes.module_largest) == (5, 5, 2)
    assert (sizes.functions, sizes.function_p50, sizes.function_largest) == (1, 2, 2)


def test_function_lengths_include_nested_functions() -> None:
    source = "def one():\n    def two():\n        pass\n    return two\nasync def three(): pass\n"
    assert sorted(function_lengths(ast.parse(source))) == [1, 2, 4]


@pytest.mark.parametrize(
    ("values", "percent", "value"),
    [([], 50, 0), ([3], 99, 3), ([4, 1, 3, 2], 50, 2), (list(range(1, 101)), 99, 99)],
)
def test_percentile_is_one_of_the_values(values: list[int], percent: int, value: int) -> None:
    assert percentile(values, percent) == value


def test_report_lists_arrows_that_point_upward(tmp_path: Path) -> None:
    lines = report(make_tree(tmp_path, FILES)).splitlines()
    assert "| local | 2 | 1 | 2 | 1 | 1 |" in lines
    assert "- local: local.supervision > local.stack points upward" in lines
    assert not any("tests" in line for line in lines)
