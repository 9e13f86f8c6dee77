"""What people are told about a deployment is true of the stacks."""

import re
from pathlib import Path
from typing import Any

import pytest

import infra
from axon.catalog import FUNCTIONS
from infra.deploy.report import describe
from infra.settings.environment import load
from tests.infra.conftest import Templates

pytestmark = pytest.mark.xdist_group("infra")

ROOT = Path(infra.__file__).parents[1]
GUIDE = (ROOT / "docs" / "deploy.md").read_text()


def outputs(templates: Templates) -> dict[str, Any]:
    return {
        name: output
        for template in templates.values()
        for name, output in template.to_json().get("Outputs", {}).items()
    }


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_report_needs_no_output_that_is_not_there(
    environment: str, request: pytest.FixtureRequest
) -> None:
    templates: Templates = request.getfixturevalue(environment)
    given = {name: name for name in outputs(templates)}
    text = describe(load(environment), given, region="eu-central-1")
    assert "WebSocketUrl" in text
    assert "HttpUrl" in text
    assert ("ModelsBucket" in text) == (environment == "prod")


def test_every_alarm_is_explained(prod: Templates) -> None:
    functions = {name.replace("_", "-") for name in FUNCTIONS}
    for template in prod.values():
        for alarm in template.find_resources("AWS::CloudWatch::Alarm").values():
            name = alarm["Properties"].get("AlarmName", "").removeprefix("axon-prod-")
            kind = name
            for function in functions:
                if name.startswith(f"{function}-"):
                    kind = f"<function>{name.removeprefix(function)}"
            assert not kind or f"`{kind}`" in GUIDE, name


def test_every_alert_is_named() -> None:
    rules = (ROOT / "infra/constructs/observability/alert_rules.yaml").read_text()
    alerts = re.findall(r"- alert: (\w+)$", rules, re.MULTILINE)
    assert alerts
    assert [alert for alert in alerts if f"`{alert}`" not in GUIDE] == []
