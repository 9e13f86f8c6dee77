"""Metrics: a workspace of Amazon Managed Service for Prometheus, its rules and alerts."""

from pathlib import Path
from textwrap import dedent

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_aps as aps
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.observability.log_groups import RETENTION
from infra.settings.environment import EnvironmentSettings

RULES = Path(__file__).with_name("alert_rules.yaml")


class Prometheus(Construct):
    """The workspace with the rules of ``alert_rules.yaml``; its alerts notify `topic`."""

    def __init__(
        self, scope: Construct, id: str, *, settings: EnvironmentSettings, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, id)
        workspace = aps.CfnWorkspace(
            self,
            "Workspace",
            alias=f"axon-{settings.name}",
            alert_manager_definition=self._alert_manager(topic),
            logging_configuration=aps.CfnWorkspace.LoggingConfigurationProperty(
                log_group_arn=self._logs(settings).log_group_arn
            ),
        )
        if settings.protect:
            workspace.apply_removal_policy(RemovalPolicy.RETAIN)
        aps.CfnRuleGroupsNamespace(
            self, "Rules", name="axon", workspace=workspace.attr_arn, data=RULES.read_text()
        )
        self.workspace_arn = workspace.attr_arn
        self.remote_write_url = f"{workspace.attr_prometheus_endpoint}api/v1/remote_write"

    def _logs(self, settings: EnvironmentSettings) -> logs.LogGroup:
        # Log groups under /aws/vendedlogs/ need no resource policy of their own for log delivery,
        # and an account has room for only ten (AWS quota).
        return logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/vendedlogs/axon/{settings.name}/prometheus",
            retention=RETENTION[settings.observability.log_retention_days],
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _alert_manager(self, topic: sns.ITopic) -> str:
        # SNS refuses subjects above 100 characters, and the default subject lists every label.
        return dedent(
            f"""\
            alertmanager_config: |
              route:
                receiver: alarms
                group_by: [alertname]
                group_wait: 30s
                group_interval: 5m
                repeat_interval: 12h
              receivers:
                - name: alarms
                  sns_configs:
                    - topic_arn: {topic.topic_arn}
                      sigv4:
                        region: {Stack.of(self).region}
                      send_resolved: true
                      subject: '{{{{ .Status }}}}: {{{{ .CommonLabels.alertname }}}}'
            """
        )
