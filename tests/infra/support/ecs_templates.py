"""ECS tasks and services, as templates define them."""

from dataclasses import dataclass
from typing import Any

from aws_cdk.assertions import Template

from tests.infra.support.templates import Properties, listed, only, resources, text


@dataclass(frozen=True)
class Task:
    """A task definition, by its containers' names."""

    properties: Properties

    @classmethod
    def of(cls, template: Template) -> "Task":
        return cls(only(template, "AWS::ECS::TaskDefinition"))

    def container(self, name: str) -> dict[str, Any]:
        (found,) = (c for c in self.properties["ContainerDefinitions"] if c["Name"] == name)
        return dict(found)

    def environment(self, name: str) -> dict[str, str]:
        """Return a container's variables as they are after a deployment."""
        variables = self.container(name)["Environment"]
        return {variable["Name"]: text(variable["Value"]) for variable in variables}


def launch_template(template: Template) -> dict[str, Any]:
    """Return what the only launch template says of its instances."""
    data: dict[str, Any] = only(template, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return data


def statements(
    template: Template, role: str, *, without: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return what policies allow the role whose logical id begins with `role`, by the actions.

    `without` leaves out what is about resources with this text in their names.
    """
    return {
        ", ".join(listed(statement["Action"])): statement
        for policy in resources(template, "AWS::IAM::Policy").values()
        if any(reference["Ref"].startswith(role) for reference in policy["Roles"])
        for statement in policy["PolicyDocument"]["Statement"]
        if without is None or without not in "".join(map(text, listed(statement["Resource"])))
    }
