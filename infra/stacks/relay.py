"""The stack of the relays, which deliver events to clients, and of their load balancer."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from axon import catalog
from infra.constructs.network.load_balancer import RELAY_PORT, LoadBalancer
from infra.constructs.observability.alarms import MINUTE, Alarms
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.grants import Grant, grant
from infra.constructs.tasks.cluster import Names, create_cluster, missing_tasks, rolling
from infra.constructs.tasks.collector import CONNECTIONS, NAMESPACE, add_collector
from infra.constructs.tasks.images import container_image
from infra.constructs.tasks.service_container import (
    FARGATE_STOP_LIMIT_S,
    STOP_MARGIN_S,
    Hardware,
    add_service_container,
    common_environment,
    health_check,
    main_share,
)
from infra.stacks.base import EnvironmentStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.platform import Platform

CPU_PERCENT = 60
STOP_TIMEOUT_S = FARGATE_STOP_LIMIT_S - STOP_MARGIN_S
_CPU_ARCHITECTURES = {
    "arm64": ecs.CpuArchitecture.ARM64,
    "x86_64": ecs.CpuArchitecture.X86_64,
}


class RelayStack(EnvironmentStack):
    """The relay service on Fargate, its load balancer, its scaling and its alarms."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        platform: Platform,
        connections: Grant,
    ) -> None:
        super().__init__(scope, id, settings=platform.settings)
        self._settings = platform.settings
        name = f"axon-{platform.settings.name}-relay"
        self._names = Names(cluster=name, service=name)
        task = self._task()
        addresses = grant(
            task.task_role,
            catalog.RELAY,
            grants={**platform.grants, catalog.Resource.CONNECTIONS: connections},
        )
        self._add_containers(task, addresses=addresses, observability=platform.observability)
        balancer = LoadBalancer(
            self,
            "LoadBalancer",
            settings=platform.settings,
            vpc=platform.network.vpc,
            security_group=platform.network.groups.load_balancer,
            access_logs=platform.data.access_logs,
        )
        service = self._service(task, network=platform.network)
        service.attach_to_application_target_group(balancer.targets)
        self._scale(service)
        self._watch(platform.alarms(self), balancer)
        CfnOutput(
            self,
            "HttpUrl",
            value=balancer.url,
            description="base_url of an OpenAI SDK; with a certificate, by a name that it covers",
        )

    def _task(self) -> ecs.FargateTaskDefinition:
        relay = self._settings.relay
        return ecs.FargateTaskDefinition(
            self,
            "Task",
            family=self._names.service,
            cpu=relay.cpu,
            memory_limit_mib=relay.memory_mb,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=_CPU_ARCHITECTURES[relay.architecture],
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )

    def _add_containers(
        self,
        task: ecs.FargateTaskDefinition,
        *,
        addresses: dict[str, str],
        observability: ObservabilityStack,
    ) -> None:
        logs = log_group(self, "Logs", settings=self._settings, name="relay")
        observability.watch_logs(logs)
        own = common_environment(
            self._settings, region=self.region, stop_timeout_s=STOP_TIMEOUT_S
        ) | {"AXON_HTTP_PORT": str(RELAY_PORT)}
        add_service_container(
            task,
            name="relay",
            image=container_image(
                self,
                "Image",
                given=self._settings.relay.image,
                dockerfile="relay_container/Dockerfile",
                architecture=self._settings.relay.architecture,
            ),
            environment=addresses | own,
            health=health_check(interval_s=30, retries=3, start_period_s=60),
            log_group=logs,
            hardware=Hardware(cpu=main_share(self._settings.relay.cpu)),
            ports=[RELAY_PORT],
        )
        add_collector(
            task,
            settings=self._settings,
            prometheus=observability.prometheus,
            cluster=self._names.cluster,
            service=self._names.service,
            log_group=log_group(
                self, "CollectorLogs", settings=self._settings, name="relay-collector"
            ),
        )

    def _service(
        self, task: ecs.FargateTaskDefinition, *, network: NetworkStack
    ) -> ecs.FargateService:
        cluster = create_cluster(self, "Cluster", names=self._names, vpc=network.vpc, fargate=True)
        service = ecs.FargateService(
            self,
            "Service",
            **rolling(self._names, cluster=cluster, group=network.groups.relay),
            task_definition=task,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            capacity_provider_strategies=self._capacity(),
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            min_healthy_percent=100,
            health_check_grace_period=Duration.seconds(60),
        )
        # The cluster's capacity providers come with it, and go after the service.
        service.node.add_dependency(cluster)
        return service

    def _capacity(self) -> list[ecs.CapacityProviderStrategy]:
        """Return the capacity strategy. With Spot, one relay stays on demand: never interrupted."""
        if not self._settings.relay.spot:
            return [ecs.CapacityProviderStrategy(capacity_provider="FARGATE", weight=1)]
        return [
            ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=1, weight=0),
            ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1),
        ]

    def _scale(self, service: ecs.FargateService) -> None:
        relay = self._settings.relay
        tasks = service.auto_scale_task_count(
            min_capacity=relay.tasks, max_capacity=relay.max_tasks
        )
        tasks.scale_on_cpu_utilization("Cpu", target_utilization_percent=CPU_PERCENT)
        tasks.scale_to_track_custom_metric(
            "Connections",
            metric=cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=CONNECTIONS,
                dimensions_map={
                    "ClusterName": self._names.cluster,
                    "ServiceName": self._names.service,
                },
                statistic="Average",
                period=MINUTE,
            ),
            target_value=relay.connections_per_task,
        )

    def _watch(self, alarms: Alarms, balancer: LoadBalancer) -> None:
        alarms.on(
            missing_tasks(self._names),
            id="relay-tasks-missing",
            threshold=1,
            periods=15,
            description="Fewer relays run than should: see the stopped tasks of the service.",
            # No relay at all reports nothing, and is the worst case: missing data must breach.
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
        alarms.on(
            balancer.unhealthy(),
            id="relay-unhealthy",
            threshold=1,
            periods=5,
            description="A relay fails the load balancer's health check: see its log.",
        )
        alarms.on(
            balancer.failures(),
            id="relay-http-failures",
            threshold=5,
            periods=5,
            breaching=3,
            description="5 % of HTTP requests or more end in a 5xx: see the relays' log.",
        )
