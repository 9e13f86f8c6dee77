"""An ECS cluster of one service: its deployment, its metrics, and the permission to start it."""

from dataclasses import dataclass
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.observability.alarms import MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Names of a service and its cluster, by which metrics and submitters refer to them."""

    cluster: str
    service: str


def create_cluster(
    scope: Construct, id: str, *, names: Names, vpc: ec2.IVpc, fargate: bool
) -> ecs.Cluster:
    """Create the cluster. Container Insights reports the task counts for scaling and alarms."""
    return ecs.Cluster(
        scope,
        id,
        cluster_name=names.cluster,
        vpc=vpc,
        container_insights_v2=ecs.ContainerInsights.ENABLED,
        enable_fargate_capacity_providers=fargate,
    )


def rolling(names: Names, *, cluster: ecs.Cluster, group: ec2.ISecurityGroup) -> dict[str, Any]:
    """Return the properties of a service in private subnets whose failed deployments roll back.

    They have no desired count: ECS starts with one task, and a count in the template would
    overwrite the decision of scaling with every deployment.
    """
    return {
        "service_name": names.service,
        "cluster": cluster,
        "vpc_subnets": ec2.SubnetSelection(subnet_group_name="private"),
        "security_groups": [group],
        "assign_public_ip": False,
        "circuit_breaker": ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
        "max_healthy_percent": 200,
        "enable_ecs_managed_tags": True,
        "propagate_tags": ecs.PropagatedTagSource.SERVICE,
    }


def task_metric(metric_name: str, *, names: Names) -> cloudwatch.Metric:
    """Return the metric ``RunningTaskCount`` or ``DesiredTaskCount`` of a service.

    Nothing is reported while no task of the service runs: missing data means zero.
    """
    return cloudwatch.Metric(
        namespace="ECS/ContainerInsights",
        metric_name=metric_name,
        dimensions_map={"ClusterName": names.cluster, "ServiceName": names.service},
        statistic="Average",
        period=MINUTE,
    )


def missing_tasks(names: Names) -> cloudwatch.MathExpression:
    """Return the number of tasks that a service lacks."""
    return cloudwatch.MathExpression(
        expression="desired - running",
        label="missing tasks",
        period=MINUTE,
        using_metrics={
            "desired": task_metric("DesiredTaskCount", names=names),
            "running": task_metric("RunningTaskCount", names=names),
        },
    )


def grant_start(grantee: iam.IGrantable, *, names: Names, stack: Stack) -> None:
    """Allow `grantee` to read and raise the desired count of the service `names`.

    Parameters
    ----------
    grantee : iam.IGrantable
        The function or the role that may start tasks.
    names : Names
        Names of the ECS cluster and service.
    stack : Stack
        Any stack of the service's account and region; the service itself may not exist yet.
    """
    service = stack.format_arn(
        service="ecs", resource="service", resource_name=f"{names.cluster}/{names.service}"
    )
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["ecs:DescribeServices", "ecs:UpdateService"],
        resource_arns=[service],
    )
