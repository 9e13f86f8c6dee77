"""The templates of the environments that come with Axon, synthesised once a session."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# jsii reads it when aws_cdk is imported.
os.environ["JSII_NODE"] = str(Path(sys.executable).with_name("node"))

from aws_cdk import App
from aws_cdk.assertions import Template

from infra.application import build
from infra.settings.environment import EnvironmentSettings, load

Templates = Mapping[str, Template]
"""A template for each stack, by its short name: ``network``."""


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """An environment's templates; `findings` has a line each, from cdk-nag and CDK's own checks."""

    templates: Templates
    findings: list[str]


def synthesise(environment: str, folder: Path) -> Synthesised:
    # Neither wheels nor images are built for a template.
    app = App(outdir=str(folder), context={"aws:cdk:bundling-stacks": []})
    stacks = build(app, load(environment))
    report = folder / "validation-report.json"
    try:
        app.synth()
    except RuntimeError:
        if not report.exists():
            raise
    return Synthesised(
        templates={
            name: Template.from_json(json.loads((folder / stack.template_file).read_text()))
            for name, stack in stacks.items()
        },
        findings=_findings(json.loads(report.read_text())),
    )


def _findings(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{construct['constructPath']}: {violation['ruleName']}: {violation['description']}"
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    ]


@pytest.fixture(scope="session")
def dev_synthesised(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise("dev", tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="session")
def prod_synthesised(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return synthesise("prod", tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="session")
def dev(dev_synthesised: Synthesised) -> Templates:
    return dev_synthesised.templates


@pytest.fixture(scope="session")
def prod(prod_synthesised: Synthesised) -> Templates:
    return prod_synthesised.templates


@pytest.fixture(params=["dev", "prod"])
def settings(request: pytest.FixtureRequest) -> EnvironmentSettings:
    return load(str(request.param))


@pytest.fixture
def templates(settings: EnvironmentSettings, dev: Templates, prod: Templates) -> Templates:
    return {"dev": dev, "prod": prod}[settings.name]
