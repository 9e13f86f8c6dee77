"""The observability stack under test: builds it and reads its template."""

from typing import Any

from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from infra.constructs.observability.log_groups import log_group
from infra.settings.environment import EnvironmentSettings, Network, Observability
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from tests.infra.support.templates import Properties, listed, resources, text


def named(template: Template, kind: str, part: str) -> tuple[str, Properties]:
    ((name, properties),) = (
        (name, properties) for name, properties in resources(template, kind).items() if part in name
    )
    return name, properties


def allowed(template: Template, role: str) -> dict[str, list[str]]:
    """Return action -> resources, over the policies of the roles whose name has `role` in it."""
    found: dict[str, list[str]] = {}
    for policy in resources(template, "AWS::IAM::Policy").values():
        if role in text(policy["Roles"][0]):
            for statement in policy["PolicyDocument"]["Statement"]:
                for action in listed(statement["Action"]):
                    found.setdefault(action, []).extend(map(text, listed(statement["Resource"])))
    return found


def stack(**observability: Any) -> tuple[ObservabilityStack, Stack]:
    """Return the stack with these settings, and a stack with a log group that it watches."""
    settings = EnvironmentSettings(
        name="test",
        network=Network(zones=3),
        observability=Observability(**observability),
    )
    app = App()
    network = NetworkStack(app, "network", settings=settings)
    built = ObservabilityStack(app, "observability", settings=settings, network=network)
    other = Stack(app, "other")
    built.watch_logs(log_group(other, "Logs", settings=settings, name="other"))
    return built, other
