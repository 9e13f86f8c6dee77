"""Accepted findings, as checkov reads them in the templates."""

import re
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from infra.constructs.security.findings import acknowledge
from tests.infra.conftest import Templates


def skips(template: Template) -> dict[str, list[dict[str, str]]]:
    """Return the rules that checkov skips, by logical id."""
    resources: dict[str, Any] = template.to_json()["Resources"]
    return {
        name: resource["Metadata"]["checkov"]["skip"]
        for name, resource in resources.items()
        if "checkov" in resource.get("Metadata", {})
    }


def test_findings_of_several_rules_are_accepted_for_one_resource() -> None:
    stack = Stack(App(), "Test")
    queue = sqs.Queue(stack, "Queue")
    sqs.Queue(stack, "Other")
    acknowledge(queue, "CKV_AWS_1", "One reason.")
    acknowledge(queue, "CKV_AWS_2", "Another.")
    (found,) = skips(Template.from_stack(stack)).values()
    assert found == [
        {"id": "CKV_AWS_1", "comment": "One reason."},
        {"id": "CKV_AWS_2", "comment": "Another."},
    ]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_findings_accepted_in_the_stacks_each_have_a_reason(
    environment: str, request: pytest.FixtureRequest
) -> None:
    templates: Templates = request.getfixturevalue(environment)
    accepted = [
        skip
        for template in templates.values()
        for each in skips(template).values()
        for skip in each
    ]
    assert len(accepted) > 20
    for skip in accepted:
        assert re.fullmatch(r"CKV_AWS_\d+", skip["id"])
        assert len(skip["comment"].split()) >= 5
        assert skip["comment"].endswith(".")
