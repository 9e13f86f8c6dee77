"""Imports point inward: the domain knows no driver, and only adapters do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import axon

PACKAGE = Path(axon.__file__).parent
DRIVERS = {
    "aiohttp",
    "awslambdaric",
    "boto3",
    "botocore",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "redis",
}
DOMAIN = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] != "adapters"
]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_domain_imports_no_driver_and_no_adapter(path: Path) -> None:
    for module in imported(path):
        assert module.partition(".")[0] not in DRIVERS
        assert not module.startswith("axon.adapters")
        assert module.partition(".")[0] not in {"worker", "relay", "functions", "local", "cli"}


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_but_fakes_tests_imports_the_fakes(path: Path) -> None:
    if path.parent.name != "testing":
        assert not any(module.startswith("axon.testing") for module in imported(path))
