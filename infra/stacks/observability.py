"""The stack of observability: the alarm topic, metrics, searchable logs, dashboards."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.logs.log_alarms import watch_log_forwarding
from infra.constructs.logs.log_forwarding import LogForwarding
from infra.constructs.logs.search_domain import SearchDomain
from infra.constructs.observability.alarm_topic import AlarmTopic
from infra.constructs.observability.alarms import Alarms
from infra.constructs.observability.grafana import Grafana
from infra.constructs.observability.prometheus import Prometheus
from infra.settings.environment import EnvironmentSettings
from infra.stacks.base import EnvironmentStack
from infra.stacks.network import NetworkStack


class ObservabilityStack(EnvironmentStack):
    """The alarm topic; Prometheus, the log domain and Grafana where the settings ask for them.

    X-Ray needs no resource: the services decide which traces they record and would not read a
    sampling rule.

    Attributes
    ----------
    alarm_topic
        Receives the notifications of every alarm.
    prometheus : Prometheus | None
        The metrics' workspace, where the settings ask for one.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        network: NetworkStack,
    ) -> None:
        super().__init__(scope, id, settings=settings)
        self.alarm_topic = AlarmTopic(self, "Alarm", settings=settings).topic
        self.prometheus: Prometheus | None = None
        if settings.observability.prometheus:
            self.prometheus = Prometheus(
                self, "Prometheus", settings=settings, topic=self.alarm_topic
            )
        self._forwarding: LogForwarding | None = None
        if settings.observability.opensearch_instance_type is not None:
            self._forwarding = self._forward_logs(settings, network)
        if settings.observability.grafana:
            Grafana(
                self,
                "Grafana",
                settings=settings,
                topic=self.alarm_topic,
                prometheus=self.prometheus,
            )

    def watch_logs(self, log_group: logs.LogGroup) -> None:
        """Forward `log_group` to the log domain; the filter belongs to the stack of the group.

        Does nothing where the settings ask for no OpenSearch.
        """
        if self._forwarding is not None:
            self._forwarding.watch(log_group)

    def _forward_logs(self, settings: EnvironmentSettings, network: NetworkStack) -> LogForwarding:
        key = kms.Key(
            self,
            "LogKey",
            alias=f"axon-{settings.name}-logs",
            description=f"Axon {settings.name}: logs in OpenSearch and on their way to it",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN if settings.protect else RemovalPolicy.DESTROY,
            pending_window=None if settings.protect else Duration.days(7),
        )
        domain = SearchDomain(self, "Logs", settings=settings, vpc=network.vpc, key=key)
        forwarding = LogForwarding(self, "Forwarding", settings=settings, domain=domain, key=key)
        alarms = Alarms(self, "Alarms", settings=settings, topic=self.alarm_topic)
        watch_log_forwarding(alarms, domain, forwarding)
        return forwarding
