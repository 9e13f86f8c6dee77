"""The layers: domain below adapters below composition, parts side by side, no cycle.

Imports under ``TYPE_CHECKING`` count, too. A failure names the file, the line and the rule.
"""

from pathlib import Path

import pytest

from tests.unit.repository.checkout import TREE
from tests.unit.repository.import_rules import ImportRule, is_in
from tests.unit.tools.checkout import make_tree
from tools.graph import cycles
from tools.import_graph import PACKAGES, shape_of

DRIVERS = (
    "aiohttp",
    "awslambdaric",
    "boto3",
    "botocore",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "redis",
)
SHIPPED = ("axon", "worker", "relay", "front", "functions")
"""Runs on AWS; all other packages run on the machine of an operator or a developer."""
TOOLS = ("local", "cli", "infra", "tests", "benchmarks", "tools", "examples")

RULES = [
    ImportRule(
        text="the domain knows no driver",
        importers=("axon",),
        forbidden=DRIVERS,
        exempt=("axon.adapters",),
    ),
    ImportRule(
        text="the domain knows no adapter",
        importers=("axon",),
        forbidden=("axon.adapters",),
        exempt=("axon.adapters",),
    ),
    ImportRule(
        text="the library is below the worker, the relay, the front and the functions",
        importers=("axon",),
        forbidden=("worker", "relay", "front", "functions"),
    ),
    ImportRule(
        text="the worker, the relay, the front and the functions share only the library",
        importers=("worker",),
        forbidden=("relay", "front", "functions"),
    ),
    ImportRule(
        text="the worker, the relay, the front and the functions share only the library",
        importers=("relay",),
        forbidden=("worker", "front", "functions"),
    ),
    ImportRule(
        text="the worker, the relay, the front and the functions share only the library",
        importers=("front",),
        forbidden=("worker", "relay", "functions"),
    ),
    ImportRule(
        text="the worker, the relay, the front and the functions share only the library",
        importers=("functions",),
        forbidden=("worker", "relay", "front", "functions"),
    ),
    ImportRule(
        text="what is shipped imports no tool of operators or developers",
        importers=SHIPPED,
        forbidden=TOOLS,
    ),
    ImportRule(
        text="stages and engines know neither jobs, nor attempts, nor peers",
        importers=("worker.pipeline", "worker.engines"),
        forbidden=("worker.jobs", "worker.attempt", "worker.cluster"),
    ),
    ImportRule(
        text="fakes are for tests and benchmarks",
        importers=(*SHIPPED, "local", "cli", "infra"),
        forbidden=("axon.testing",),
        exempt=("axon.testing",),
    ),
    ImportRule(
        text="constructs are below stacks: what they need is passed to them",
        importers=("infra.constructs",),
        forbidden=("infra.stacks", "infra.application"),
    ),
    ImportRule(
        text="settings are below the constructs and stacks that read them",
        importers=("infra.settings",),
        forbidden=("infra.stacks", "infra.constructs", "infra.application"),
    ),
    ImportRule(
        text="templates are built without the local cloud and without the services' code",
        importers=("infra",),
        forbidden=("local", "cli", "worker", "relay", "front", "functions"),
        exempt=("infra.cost",),  # an estimate counts the worker's flushes
    ),
    ImportRule(
        text="the local cloud starts the services as processes and knows neither CDK nor the CLI",
        importers=("local",),
        forbidden=("worker", "relay", "front", "functions", "infra", "cli"),
    ),
    ImportRule(
        text="supervision serves any program, not only this stack's",
        importers=("local.supervision",),
        forbidden=("local.stack", "local.services", "local.gateway", "local.lambda_service"),
    ),
    ImportRule(
        text="the parts of the local cloud do not know how the stack joins them",
        importers=("local.services", "local.gateway", "local.lambda_service", "local.http"),
        forbidden=("local.stack",),
    ),
    ImportRule(
        text="only tests import tests, and only tests and tools import tools",
        importers=("local", "cli", "infra", "benchmarks", "examples", "app"),
        forbidden=("tests", "tools"),
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.text)
def test_imports_keep_the_rule(rule: ImportRule) -> None:
    assert not list(rule.violations(TREE)), "\n".join(rule.violations(TREE))


def test_attempt_outcome_is_not_imported_from_metrics() -> None:
    """The consumer and the runner decide by it; metrics only count it."""
    wrong = [
        f"{found.place}: AttemptOutcome is imported from {found.imported}"
        for found in TREE.imports
        if "AttemptOutcome" in found.names and found.imported.endswith("metrics")
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_import_each_other_in_no_cycle() -> None:
    assert cycles(TREE.graph) == []


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_packages_import_each_other_in_no_cycle(package: str) -> None:
    """The files and folders directly in a package do not either."""
    assert not shape_of(TREE, package).upward


def test_import_rule_names_file_line_import_and_rule(tmp_path: Path) -> None:
    files = {"cli/main.py": "import os\nfrom local.stack import cloud\n", "local/stack.py": ""}
    rule = ImportRule(text="it must not", importers=("cli",), forbidden=("local.stack",))
    assert list(rule.violations(make_tree(tmp_path, files))) == [
        "cli/main.py:2: imports local.stack, but it must not"
    ]


def test_import_rule_sees_modules_behind_a_package(tmp_path: Path) -> None:
    files = {"infra/a.py": "from infra import stacks\n", "infra/stacks/__init__.py": ""}
    rule = ImportRule(text="it must not", importers=("infra",), forbidden=("infra.stacks",))
    assert [line.partition(" ")[0] for line in rule.violations(make_tree(tmp_path, files))] == [
        "infra/a.py:1:"
    ]


@pytest.mark.parametrize(
    ("module", "packages", "inside"),
    [
        ("axon.adapters", ("axon",), True),
        ("axon", ("axon",), True),
        ("axons", ("axon",), False),
        ("axon", ("axon.adapters",), False),
    ],
)
def test_is_in_compares_whole_names(module: str, packages: tuple[str, ...], inside: bool) -> None:
    assert is_in(module, packages) is inside
