"""The report after a deployment reads only outputs that the stacks have."""

from typing import Any

import pytest

from infra.deploy.report import describe
from infra.settings.environment import load
from tests.infra.conftest import Templates


def outputs(templates: Templates) -> dict[str, Any]:
    return {
        name: output
        for template in templates.values()
        for name, output in template.to_json().get("Outputs", {}).items()
    }


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_report_needs_only_outputs_that_exist(
    environment: str, request: pytest.FixtureRequest
) -> None:
    templates: Templates = request.getfixturevalue(environment)
    given = {name: name for name in outputs(templates)}
    text = describe(load(environment), given, region="eu-central-1")
    assert "WebSocketUrl" in text
    assert "HttpUrl" in text
    assert "32 KB a frame, 128 KB a message" in text
    assert ("ModelsBucket" in text) == (environment == "prod")
