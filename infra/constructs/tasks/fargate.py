"""Services on Fargate that always run: the relays' and the fronts'."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.constructs.observability.alarms import MINUTE, Alarms
from infra.constructs.tasks.cluster import Names, create_cluster, missing_tasks, rolling
from infra.constructs.tasks.collector import NAMESPACE
from infra.constructs.tasks.service_container import FARGATE_STOP_LIMIT_S, STOP_MARGIN_S
from infra.settings.sections import Architecture

CPU_PERCENT = 60
STOP_TIMEOUT_S = FARGATE_STOP_LIMIT_S - STOP_MARGIN_S
_CPU_ARCHITECTURES = {
    "arm64": ecs.CpuArchitecture.ARM64,
    "x86_64": ecs.CpuArchitecture.X86_64,
}


def fargate_task(
    scope: Construct, *, names: Names, cpu: int, memory_mb: int, architecture: Architecture
) -> ecs.FargateTaskDefinition:
    """Create the task definition, to which containers are added."""
    return ecs.FargateTaskDefinition(
        scope,
        "Task",
        family=names.service,
        cpu=cpu,
        memory_limit_mib=memory_mb,
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=_CPU_ARCHITECTURES[architecture],
            operating_system_family=ecs.OperatingSystemFamily.LINUX,
        ),
    )


def fargate_service(
    scope: Construct,
    *,
    names: Names,
    task: ecs.FargateTaskDefinition,
    vpc: ec2.IVpc,
    group: ec2.ISecurityGroup,
    spot: bool = False,
    health_check_grace_period: Duration | None = None,
) -> ecs.FargateService:
    """Create the service in a cluster of its own, spread over the zones.

    Parameters
    ----------
    scope : Construct
        Gets ``Cluster`` and ``Service``.
    names : Names
        Names of both.
    task : ecs.FargateTaskDefinition
        What runs, with its containers.
    vpc, group : ec2.IVpc, ec2.ISecurityGroup
        Where it runs, and what it may connect to.
    spot : bool
        One task stays on demand, never interrupted; the others are on Spot.
    health_check_grace_period : Duration | None
        Time in which a load balancer's checks may fail; for services that are behind one.
    """
    cluster = create_cluster(scope, "Cluster", names=names, vpc=vpc, fargate=True)
    service = ecs.FargateService(
        scope,
        "Service",
        **rolling(names, cluster=cluster, group=group),
        task_definition=task,
        platform_version=ecs.FargatePlatformVersion.VERSION1_4,
        capacity_provider_strategies=_strategy(spot=spot),
        availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
        min_healthy_percent=100,
        health_check_grace_period=health_check_grace_period,
    )
    # The cluster's capacity providers come with it, and go after the service.
    service.node.add_dependency(cluster)
    return service


def _strategy(*, spot: bool) -> list[ecs.CapacityProviderStrategy]:
    if not spot:
        return [ecs.CapacityProviderStrategy(capacity_provider="FARGATE", weight=1)]
    return [
        ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=1, weight=0),
        ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1),
    ]


def scale_by_load(
    service: ecs.FargateService,
    *,
    names: Names,
    tasks: int,
    max_tasks: int,
    metric_id: str,
    metric_name: str,
    per_task: float,
) -> None:
    """Scale a service by its CPU, and by a metric of the collector that each task has.

    Parameters
    ----------
    service : ecs.FargateService
        The service.
    names : Names
        Its names, which are the dimensions of the metric.
    tasks, max_tasks : int, int
        The least and the most tasks.
    metric_id : str
        Id of the policy.
    metric_name : str
        The metric; its average is the mean of the tasks.
    per_task : float
        The target of that average.
    """
    scaled = service.auto_scale_task_count(min_capacity=tasks, max_capacity=max_tasks)
    scaled.scale_on_cpu_utilization("Cpu", target_utilization_percent=CPU_PERCENT)
    scaled.scale_to_track_custom_metric(
        metric_id,
        metric=cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=metric_name,
            dimensions_map={"ClusterName": names.cluster, "ServiceName": names.service},
            statistic="Average",
            period=MINUTE,
        ),
        target_value=per_task,
    )


def watch_tasks(alarms: Alarms, *, names: Names, kind: str) -> None:
    """Add the alarm on missing tasks; `kind` is what the tasks are, in the singular."""
    alarms.on(
        missing_tasks(names),
        id=f"{kind}-tasks-missing",
        threshold=1,
        periods=15,
        description=f"Fewer {kind}s run than should: see the stopped tasks of the service.",
        # No task at all reports nothing, and is the worst case: missing data must breach.
        missing=cloudwatch.TreatMissingData.BREACHING,
    )
