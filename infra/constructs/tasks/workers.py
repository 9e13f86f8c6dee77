"""The two kinds of workers, on Fargate and on GPUs: their tasks, containers and services."""

from dataclasses import dataclass
from typing import Protocol

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.constructs.tasks.cluster import Names, rolling
from infra.constructs.tasks.gpu_capacity import EFA_DEVICE, GpuCapacity
from infra.constructs.tasks.service_container import (
    STOP_MARGIN_S,
    Hardware,
    health_check,
    main_share,
)
from infra.settings.environment import EnvironmentSettings
from infra.settings.sections import Architecture, Fargate, Gpu, Inference

SHARED_MEMORY_MB = 8192
"""Upper bound: vLLM's processes exchange tensors in ``/dev/shm``."""

RESERVED_CPU = 2048
RESERVED_MEMORY_MB = 4096
"""Reservations that fit the smallest instance; the container may use the whole instance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerContainer:
    """Properties of the worker's container that depend on the kind of worker.

    `start` is the time from the order of a worker to a running one.
    """

    dockerfile: str
    architecture: Architecture
    health: ecs.HealthCheck
    start: Duration
    hardware: Hardware


def worker_names(settings: EnvironmentSettings) -> Names:
    """Return the names of the worker service and its cluster, by which submitters start it."""
    return Names(cluster=f"axon-{settings.name}-inference", service=f"axon-{settings.name}-worker")


class Workers(Protocol):
    """A kind of worker: its task, and the service that runs it."""

    @property
    def container(self) -> WorkerContainer:
        """Properties of the worker's container."""

    @property
    def task(self) -> ecs.TaskDefinition:
        """The task definition, to which the containers are added."""

    def serve(self) -> ecs.BaseService:
        """Create the service. Call it after the task has its containers."""


class FargateWorkers(Construct):
    """Workers without a GPU."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        capacity: Fargate,
        cluster: ecs.Cluster,
        security_group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        self._names, self._capacity = names, capacity
        self._cluster, self._security_group = cluster, security_group
        self.task = ecs.FargateTaskDefinition(
            self,
            "Task",
            family=names.service,
            cpu=capacity.cpu,
            memory_limit_mib=capacity.memory_mb,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        self.container = WorkerContainer(
            dockerfile="inference_container/Dockerfile.cpu",
            architecture=capacity.architecture,
            health=health_check(interval_s=30, retries=3, start_period_s=120),
            start=Duration.minutes(3),
            hardware=Hardware(cpu=main_share(capacity.cpu)),
        )

    def serve(self) -> ecs.FargateService:
        """Create the service. Call it after the task has its containers."""
        service = ecs.FargateService(
            self,
            "Service",
            **rolling(self._names, cluster=self._cluster, group=self._security_group),
            task_definition=self.task,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            capacity_provider_strategies=self._strategy(),
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
            min_healthy_percent=100,
        )
        # The capacity providers are a resource of the cluster's: without the dependency they could
        # be deleted while the service still uses them, which ECS refuses.
        service.node.add_dependency(self._cluster)
        return service

    def _strategy(self) -> list[ecs.CapacityProviderStrategy]:
        spot = self._capacity.spot_percent
        shares = {"FARGATE": 100 - spot, "FARGATE_SPOT": spot}
        return [
            ecs.CapacityProviderStrategy(capacity_provider=provider, weight=weight)
            for provider, weight in shares.items()
            if weight
        ]


class GpuWorkers(Construct):
    """Workers on GPU instances, one task an instance."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        inference: Inference,
        capacity: Gpu,
        cluster: ecs.Cluster,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        self._names, self._cluster, self._security_group = names, cluster, security_group
        self._instances = GpuCapacity(
            self,
            "Instances",
            name=names.service,
            gpu=capacity,
            max_tasks=inference.max_tasks,
            stop_timeout_s=inference.stop_timeout_s + STOP_MARGIN_S,
            cluster=cluster,
            vpc=vpc,
            security_group=security_group,
        )
        self.task = ecs.Ec2TaskDefinition(
            self, "Task", family=names.service, network_mode=ecs.NetworkMode.AWS_VPC
        )
        self.container = WorkerContainer(
            dockerfile="inference_container/Dockerfile",
            architecture="x86_64",
            # Loading a model takes minutes; a worker whose engine dies exits by itself.
            health=health_check(python="python3", interval_s=60, retries=10, start_period_s=300),
            start=Duration.minutes(10),
            hardware=Hardware(
                cpu=RESERVED_CPU,
                gpus=capacity.gpus_per_instance,
                devices=(EFA_DEVICE,) if capacity.nodes_per_model > 1 else (),
                shared_memory_mb=SHARED_MEMORY_MB,
                memory_reservation_mb=RESERVED_MEMORY_MB,
            ),
        )

    def serve(self) -> ecs.Ec2Service:
        """Create the service. Call it after the task has its containers.

        A deployment starts a second instance for each old one. If AWS has none, up to half of the
        idle workers make room, but never the only one; busy workers are protected.
        """
        service = ecs.Ec2Service(
            self,
            "Service",
            **rolling(self._names, cluster=self._cluster, group=self._security_group),
            task_definition=self.task,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(
                    capacity_provider=self._instances.provider_name, weight=1
                )
            ],
            placement_constraints=[ecs.PlacementConstraint.distinct_instances()],
            placement_strategies=[
                ecs.PlacementStrategy.spread_across(ecs.BuiltInAttributes.AVAILABILITY_ZONE)
            ],
            # Rebalancing would start instances only to move workers between zones.
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
            min_healthy_percent=50,
        )
        # The capacity providers are a resource of the cluster's: without the dependency they could
        # be deleted while the service still uses them, which ECS refuses.
        service.node.add_dependency(self._cluster)
        return service
