"""The deployed services as processes: what ECS would run, with the environment it would give."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.ports import LOOPBACK
from local.supervision.child import Child
from local.supervision.probes import http_ok
from local.supervision.program import Program
from tests.deploy.emulator.plan import PATH
from tests.deploy.machine import Machine
from tests.support.repository import ROOT

OWN_PORTS = ("AXON_HEALTH_PORT",)
"""A container has its ports for itself; here they must be free ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """The main container of a service, from its task definition."""

    name: str
    variables: Mapping[str, str]
    role: str

    @classmethod
    def read(cls, machine: Machine, *, family: str, container: str) -> "Task":
        """Ask ECS for the newest definition of the family."""
        answer = machine.client("ecs").describe_task_definition(taskDefinition=family)
        definition: dict[str, Any] = answer["taskDefinition"]
        (found,) = (
            each for each in definition["containerDefinitions"] if each["name"] == container
        )
        return cls(
            name=container,
            variables={each["name"]: each["value"] for each in found["environment"]},
            role=definition["taskRoleArn"].rpartition("/")[2],
        )

    @classmethod
    def of_function(
        cls, machine: Machine, function: str, *, module: str, given: Mapping[str, str]
    ) -> "Task":
        """Ask Lambda for a function that is its own runtime; `given` is what Lambda adds."""
        found = machine.client("lambda").get_function_configuration(FunctionName=function)
        return cls(
            name=module,
            variables={**found["Environment"]["Variables"], **given},
            role=found["Role"].rpartition("/")[2],
        )

    def start(self, machine: Machine) -> Child:
        """Run it, and wait until it calls itself healthy."""
        own = {name: str(machine.ports.reserve()) for name in OWN_PORTS if name in self.variables}
        plan = machine.plan
        return machine.start(
            Program(
                name=self.name,
                command=(
                    *(sys.executable, "-m", "tests.deploy.names", str(plan.names_port)),
                    self.name,
                ),
                environment={**self.variables, **own, **self._given_by_ecs(machine)},
                folder=ROOT,
                ready=http_ok(int(own["AXON_HEALTH_PORT"])),
            )
        )

    def _given_by_ecs(self, machine: Machine) -> dict[str, str]:
        """Return what ECS adds (URLs of credentials and agent), and the emulator's addresses."""
        aws = f"http://{LOOPBACK}:{machine.plan.port}"
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{aws}{PATH}/credentials/{self.role}",
            "ECS_AGENT_URI": f"{aws}{PATH}/{self.name}",
            "AWS_ENDPOINT_URL": aws,
            "SSL_CERT_FILE": machine.plan.authorities,
        }
