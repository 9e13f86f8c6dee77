"""The collector sidecar of a task: metrics to Prometheus and CloudWatch, traces to X-Ray.

``collector.yaml`` configures it. The task keeps running without it, and ECS restarts it.
"""

from pathlib import Path
from typing import Any

import yaml
from aws_cdk import Duration, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from infra.constructs.observability.prometheus import Prometheus
from infra.constructs.security.findings import acknowledge
from infra.settings.environment import EnvironmentSettings, Observability

CONFIG = Path(__file__).with_name("collector.yaml")
IMAGE = (
    "public.ecr.aws/aws-observability/aws-otel-collector:v0.49.0"
    "@sha256:d2bdfff2c377c3d71d78bd5d9ce9862fd535b12134a5739d87a07801297cf9fd"
)
USER = "4317:4317"
"""The image's own user, ``aoc``."""

METRICS_PORT = 9464
"""Port on 127.0.0.1 at which the main container serves ``/metrics`` (its AXON_HEALTH_PORT)."""

OTLP_ENDPOINT = "http://127.0.0.1:4318"
"""Endpoint to which the main container sends its traces (its AXON_OTLP_ENDPOINT)."""

NAMESPACE = "Axon"
CONNECTIONS = "axon_relay_connections"
REQUESTS = "axon_front_requests"
"""CloudWatch metrics of relays and fronts, with dimensions ClusterName and ServiceName; Average is
the mean of tasks. Each process has one of them."""

MEMORY_MIB = 192
# Above the collector's own limit (collector.yaml), below the container's: the collector must drop
# data before Go's garbage collector thrashes, and Go must collect before the kernel kills it.
GO_MEMORY_LIMIT = "160MiB"


def add_collector(
    task_definition: ecs.TaskDefinition,
    *,
    settings: EnvironmentSettings,
    prometheus: Prometheus | None,
    cluster: str,
    service: str,
    log_group: logs.ILogGroup,
) -> ecs.ContainerDefinition:
    """Add the sidecar "collector" and grant the task role the permissions it needs.

    Add the main container first: it is then stopped before the collector, which still delivers its
    last metrics.

    Parameters
    ----------
    task_definition : ecs.TaskDefinition
        The task, with its main container.
    prometheus : Prometheus | None
        Where metrics are written to; None leaves them out.
    cluster, service : str
        Names of the ECS cluster and service (``axon-dev-relay``), which become the dimensions
        ClusterName and ServiceName of `CONNECTIONS` and `REQUESTS`; `service` is also the label
        ``job`` in Prometheus.
    log_group : logs.ILogGroup
        Receives the collector's own log, and the metric for scaling as log events.
    """
    variables = {
        "AOT_CONFIG_CONTENT": configuration(settings.observability),
        "AWS_REGION": Stack.of(task_definition).region,
        "AXON_CLUSTER": cluster,
        "AXON_LOG_GROUP": log_group.log_group_name,
        "AXON_SERVICE": service,
        "GOMEMLIMIT": GO_MEMORY_LIMIT,
    }
    if prometheus is not None:
        variables["AXON_REMOTE_WRITE_URL"] = prometheus.remote_write_url
    main = task_definition.default_container
    collector = _container(task_definition, variables=variables, log_group=log_group)
    if main is not None:
        main.add_container_dependencies(
            ecs.ContainerDependency(
                container=collector, condition=ecs.ContainerDependencyCondition.START
            )
        )
    _grant(task_definition.task_role, settings, prometheus, log_group)
    acknowledge(
        task_definition,
        "CloudFormation-Validate::E1029",
        "The collector resolves ${env:...} in its configuration, not CloudFormation.",
    )
    return collector


def configuration(settings: Observability) -> str:
    """Return the content of ``collector.yaml`` without the pipelines that `settings` turn off."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    if not settings.tracing:
        del config["service"]["pipelines"]["traces"]
        del config["receivers"]["otlp"]
        del config["exporters"]["awsxray"]
    if not settings.prometheus:
        del config["service"]["pipelines"]["metrics/prometheus"]
        del config["exporters"]["prometheus_remote_write"]
        del config["extensions"]["sigv4auth"]
        config["service"]["extensions"].remove("sigv4auth")
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def _container(
    task_definition: ecs.TaskDefinition, *, variables: dict[str, str], log_group: logs.ILogGroup
) -> ecs.ContainerDefinition:
    return task_definition.add_container(
        "collector",
        container_name="collector",
        image=ecs.ContainerImage.from_registry(IMAGE),
        essential=False,
        enable_restart_policy=True,
        cpu=32,
        memory_limit_mib=MEMORY_MIB,
        user=USER,
        readonly_root_filesystem=True,
        environment=variables,
        logging=ecs.LogDrivers.aws_logs(stream_prefix="collector", log_group=log_group),
        health_check=ecs.HealthCheck(
            command=["CMD", "/healthcheck"],
            interval=Duration.seconds(30),
            retries=3,
            start_period=Duration.seconds(15),
        ),
    )


def _grant(
    role: iam.IRole,
    settings: EnvironmentSettings,
    prometheus: Prometheus | None,
    log_group: logs.ILogGroup,
) -> None:
    log_group.grant_write(role)
    if prometheus is not None:
        iam.Grant.add_to_principal(
            grantee=role,
            actions=["aps:RemoteWrite"],
            resource_arns=[prometheus.workspace_arn],
        )
    if settings.observability.tracing:
        iam.Grant.add_to_principal(
            grantee=role, actions=["xray:PutTraceSegments"], resource_arns=["*"]
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "X-Ray knows no resources: xray:PutTraceSegments works on * only.",
        )
