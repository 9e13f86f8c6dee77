"""The stack of the relays, which deliver events to WebSocket clients."""

from aws_cdk import aws_ecs as ecs
from constructs import Construct

from axon import catalog
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.grants import Grant, grant
from infra.constructs.tasks.cluster import Names
from infra.constructs.tasks.collector import CONNECTIONS, add_collector
from infra.constructs.tasks.fargate import (
    STOP_TIMEOUT_S,
    fargate_service,
    fargate_task,
    scale_by_load,
    watch_tasks,
)
from infra.constructs.tasks.images import container_image
from infra.constructs.tasks.service_container import (
    Hardware,
    add_service_container,
    common_environment,
    health_check,
    main_share,
)
from infra.stacks.base import EnvironmentStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.platform import Platform


class RelayStack(EnvironmentStack):
    """The relay service on Fargate, its scaling and its alarms. Nothing connects to it."""

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
        relay = platform.settings.relay
        name = f"axon-{platform.settings.name}-relay"
        self._names = Names(cluster=name, service=name)
        task = fargate_task(
            self,
            names=self._names,
            cpu=relay.cpu,
            memory_mb=relay.memory_mb,
            architecture=relay.architecture,
        )
        addresses = grant(
            task.task_role,
            catalog.RELAY,
            grants={**platform.grants, catalog.Resource.CONNECTIONS: connections},
        )
        self._add_containers(task, addresses=addresses, observability=platform.observability)
        service = fargate_service(
            self,
            names=self._names,
            task=task,
            vpc=platform.network.vpc,
            group=platform.network.groups.relay,
            spot=relay.spot,
        )
        scale_by_load(
            service,
            names=self._names,
            tasks=relay.tasks,
            max_tasks=relay.max_tasks,
            metric_id="Connections",
            metric_name=CONNECTIONS,
            per_task=relay.connections_per_task,
        )
        watch_tasks(platform.alarms(self), names=self._names, kind="relay")

    def _add_containers(
        self,
        task: ecs.FargateTaskDefinition,
        *,
        addresses: dict[str, str],
        observability: ObservabilityStack,
    ) -> None:
        logs = log_group(self, "Logs", settings=self._settings, name="relay")
        observability.watch_logs(logs)
        own = common_environment(self._settings, region=self.region, stop_timeout_s=STOP_TIMEOUT_S)
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
