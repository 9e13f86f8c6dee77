"""Make targets, CI and hooks: the commands that documents and configurations name exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.repository import ROOT
from tests.unit.repository.test_documents import DOCUMENTS

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
IN_DOCUMENTS = re.compile(r"(?:`|^    |&& )make ([a-z][a-z-]*)", re.MULTILINE)
CI_STEPS = ["lint", "test", "test-vllm", "test-clients", "test-browser", "scan", "test-deploy"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_make_targets_that_exist(document: Path) -> None:
    assert set(IN_DOCUMENTS.findall(document.read_text())) <= TARGETS


def test_makefile_declares_each_command_as_phony() -> None:
    phony = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())
    assert phony == TARGETS


def test_ci_runs_every_gate_in_order() -> None:
    commands = re.findall(r"^make (\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert commands == CI_STEPS


def test_check_runs_lint_before_the_tests_of_the_change() -> None:
    assert re.search(
        r"^check: lint .*\n\t@\.venv/bin/python -m tools\.check", MAKEFILE, re.MULTILINE
    )


def test_precommit_hooks_are_local_and_need_no_network() -> None:
    config: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith((".venv/bin/", "make "))
