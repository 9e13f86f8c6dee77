"""The stacks that every later stack builds on: the network, and what observes it."""

from dataclasses import dataclass

from constructs import Construct

from infra.constructs.observability.alarms import Alarms
from infra.settings.environment import EnvironmentSettings
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack


@dataclass(frozen=True, kw_only=True, slots=True)
class Foundation:
    """The settings and the first two stacks: given to the data and messaging stacks."""

    settings: EnvironmentSettings
    network: NetworkStack
    observability: ObservabilityStack

    def alarms(self, scope: Construct) -> Alarms:
        """Create the stack `scope`'s collection of alarms, which notify the alarm topic."""
        return Alarms(scope, "Alarms", settings=self.settings, topic=self.observability.alarm_topic)
