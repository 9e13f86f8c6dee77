"""Dashboards: a workspace of Amazon Managed Grafana that reads metrics and traces."""

from aws_cdk import Stack
from aws_cdk import aws_grafana as grafana
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.observability.prometheus import Prometheus
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings

CLOUDWATCH_READS = [
    "cloudwatch:DescribeAlarmHistory",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:DescribeAlarmsForMetric",
    "cloudwatch:GetMetricData",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListMetrics",
]
XRAY_READS = [
    "xray:BatchGetTraces",
    "xray:GetGroups",
    "xray:GetServiceGraph",
    "xray:GetTimeSeriesServiceStatistics",
    "xray:GetTraceGraph",
    "xray:GetTraceSummaries",
]
PROMETHEUS_READS = [
    "aps:DescribeWorkspace",
    "aps:GetLabels",
    "aps:GetMetricMetadata",
    "aps:GetSeries",
    "aps:ListAlerts",
    "aps:ListRules",
    "aps:QueryMetrics",
]


class Grafana(Construct):
    """The workspace. People sign in with IAM Identity Center, which the account must have."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: EnvironmentSettings,
        topic: sns.ITopic,
        prometheus: Prometheus | None,
    ) -> None:
        super().__init__(scope, id)
        role = self._role(settings)
        self._grant(role, topic, prometheus)
        sources = ["CLOUDWATCH", "XRAY"]
        grafana.CfnWorkspace(
            self,
            "Workspace",
            name=f"axon-{settings.name}",
            description=f"Axon {settings.name}",
            account_access_type="CURRENT_ACCOUNT",
            authentication_providers=["AWS_SSO"],
            permission_type="CUSTOMER_MANAGED",
            role_arn=role.role_arn,
            data_sources=["PROMETHEUS", *sources] if prometheus else sources,
            notification_destinations=["SNS"],
        )

    def _role(self, settings: EnvironmentSettings) -> iam.Role:
        stack = Stack.of(self)
        workspaces = stack.format_arn(service="grafana", resource="/workspaces", resource_name="*")
        return iam.Role(
            self,
            "Role",
            role_name=f"axon-{settings.name}-grafana",
            assumed_by=iam.ServicePrincipal(
                "grafana.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "StringLike": {"aws:SourceArn": workspaces},
                },
            ),
        )

    def _grant(self, role: iam.Role, topic: sns.ITopic, prometheus: Prometheus | None) -> None:
        if prometheus is not None:
            role.add_to_policy(
                iam.PolicyStatement(actions=PROMETHEUS_READS, resources=[prometheus.workspace_arn])
            )
        role.add_to_policy(
            iam.PolicyStatement(actions=CLOUDWATCH_READS + XRAY_READS, resources=["*"])
        )
        topic.grant_publish(role)
        for wildcard, reason in (
            ("Resource::*", "CloudWatch and X-Ray know no resources for what is read of them."),
            ("Action::kms:GenerateDataKey*", "What CDK's grant gives on the topic's own key."),
        ):
            acknowledge(role, f"AwsSolutions-IAM5[{wildcard}]", reason)
