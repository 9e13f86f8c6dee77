"""Modules and their imports as `tools.modules` reads them."""

from pathlib import Path

import pytest

from tests.unit.tools.checkout import make_tree
from tools.modules import module_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("layers/shared/python/axon/ids.py", "axon.ids"),
        ("layers/shared/python/axon/__init__.py", "axon"),
        ("inference_container/worker/jobs/consumer.py", "worker.jobs.consumer"),
        ("relay_container/relay/__main__.py", "relay.__main__"),
        ("functions/respond/handler.py", "functions.respond.handler"),
        ("app.py", "app"),
    ],
)
def test_module_name_is_the_name_by_which_python_imports_it(path: str, name: str) -> None:
    assert module_name(Path(path)) == name


@pytest.mark.parametrize(
    ("line", "imported"),
    [
        ("import axon.ids", {"axon.ids"}),
        ("import axon.ids.Missing", {"axon.ids"}),
        ("from axon import ids", {"axon.ids"}),
        ("from axon.ids import new_id", {"axon.ids"}),
        ("from axon import clock, ids", {"axon.clock", "axon.ids"}),
        ("from . import ids", {"axon.ids"}),
        ("from .ids import new_id", {"axon.ids"}),
        ("from .adapters.valkey import client", {"axon.adapters.valkey.client"}),
        ("import asyncio", set()),
        ("from axons import ids", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import axon.ids", {"axon.ids"}),
        ("def late():\n    import axon.ids", {"axon.ids"}),
    ],
)
def test_module_tree_finds_each_form_of_import(
    tmp_path: Path, line: str, imported: set[str]
) -> None:
    folder = "layers/shared/python/axon"
    tree = make_tree(
        tmp_path,
        {
            f"{folder}/__init__.py": "",
            f"{folder}/ids.py": "",
            f"{folder}/clock.py": "",
            f"{folder}/adapters/__init__.py": "",
            f"{folder}/adapters/valkey/__init__.py": "",
            f"{folder}/adapters/valkey/client.py": "",
            f"{folder}/importer.py": line,
        },
    )
    assert tree.graph["axon.importer"] == imported


def test_module_tree_resolves_a_relative_import_above_the_module(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        {"cli/__init__.py": "", "cli/aws.py": "", "cli/dlq/__init__.py": "from ..aws import URL"},
    )
    assert tree.graph["cli.dlq"] == {"cli.aws"}


def test_module_tree_tells_file_line_and_names_of_an_import(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, {"a.py": "\nfrom b import one, two\n", "b.py": ""})
    assert [(found.place, found.imported, found.names) for found in tree.imports] == [
        ("a.py:2", "b", ("one",)),
        ("a.py:2", "b", ("two",)),
    ]


def test_module_tree_leaves_out_environments_and_build_folders(tmp_path: Path) -> None:
    files = dict.fromkeys(("a.py", ".venv/b.py", "node_modules/c.py", "cdk.out/d.py"), "")
    assert set(make_tree(tmp_path, files).paths) == {"a"}


def test_module_tree_lists_imports_of_other_projects(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, {"a.py": "import boto3\nfrom redis.asyncio import Redis\n"})
    assert tree.imported_names["a"] == (("boto3", 1), ("redis.asyncio", 2))
