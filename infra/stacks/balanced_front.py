"""The stack of the fronts as tasks on Fargate, and of the load balancer before them."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from axon import catalog
from infra.constructs.network.load_balancer import FRONT_PORT, KEEP_ALIVE_S, LoadBalancer
from infra.constructs.observability.alarms import Alarms
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.grants import grant
from infra.constructs.tasks.cluster import Names
from infra.constructs.tasks.collector import REQUESTS, add_collector
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
from infra.settings.environment import BalancedFront
from infra.stacks.base import EnvironmentStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.platform import Platform


class BalancedFrontStack(EnvironmentStack):
    """The front service on Fargate, its load balancer, its scaling and its alarms."""

    def __init__(
        self, scope: Construct, id: str, *, platform: Platform, front: BalancedFront
    ) -> None:
        super().__init__(scope, id, settings=platform.settings)
        network = platform.network
        if network.groups.balanced is None:
            raise ValueError("the network was made for another home of the front")
        self._settings, self._front = platform.settings, front
        name = f"axon-{platform.settings.name}-front"
        self._names = Names(cluster=name, service=name)
        task = fargate_task(
            self,
            names=self._names,
            cpu=front.cpu,
            memory_mb=front.memory_mb,
            architecture=front.architecture,
        )
        addresses = grant(task.task_role, catalog.FRONT, grants=platform.grants)
        self._add_containers(task, addresses=addresses, observability=platform.observability)
        balancer = LoadBalancer(
            self,
            "LoadBalancer",
            settings=platform.settings,
            front=front,
            vpc=network.vpc,
            security_group=network.groups.balanced.balancer,
            access_logs=platform.data.access_logs,
        )
        service = fargate_service(
            self,
            names=self._names,
            task=task,
            vpc=network.vpc,
            group=network.groups.balanced.front,
            health_check_grace_period=Duration.seconds(60),
        )
        service.attach_to_application_target_group(balancer.targets)
        scale_by_load(
            service,
            names=self._names,
            tasks=front.tasks,
            max_tasks=front.max_tasks,
            metric_id="Requests",
            metric_name=REQUESTS,
            per_task=front.requests_per_task,
        )
        self._watch(platform.alarms(self), balancer)
        self._add_outputs(balancer)

    def _add_containers(
        self,
        task: ecs.FargateTaskDefinition,
        *,
        addresses: dict[str, str],
        observability: ObservabilityStack,
    ) -> None:
        logs = log_group(self, "Logs", settings=self._settings, name="front")
        observability.watch_logs(logs)
        add_service_container(
            task,
            name="front",
            image=container_image(
                self,
                "Image",
                given=self._front.image,
                dockerfile="front_container/Dockerfile",
                architecture=self._front.architecture,
            ),
            environment=addresses | self._environment(),
            health=health_check(interval_s=30, retries=3, start_period_s=60),
            log_group=logs,
            hardware=Hardware(cpu=main_share(self._front.cpu)),
            ports=[FRONT_PORT],
        )
        add_collector(
            task,
            settings=self._settings,
            prometheus=observability.prometheus,
            cluster=self._names.cluster,
            service=self._names.service,
            log_group=log_group(
                self, "CollectorLogs", settings=self._settings, name="front-collector"
            ),
        )

    def _environment(self) -> dict[str, str]:
        return {
            **common_environment(self._settings, region=self.region, stop_timeout_s=STOP_TIMEOUT_S),
            **self._settings.inference.submission_variables,
            **self._front.variables,
            "AXON_HTTP_HOST": "0.0.0.0",  # noqa: S104 - the balancer comes from outside
            "AXON_HTTP_PORT": str(FRONT_PORT),
            # Only the balancer can connect (security groups), and it says who the client is.
            "AXON_TRUSTED_PROXIES": "1",
            "AXON_KEEP_ALIVE_S": str(KEEP_ALIVE_S),
        }

    def _watch(self, alarms: Alarms, balancer: LoadBalancer) -> None:
        watch_tasks(alarms, names=self._names, kind="front")
        alarms.on(
            balancer.unhealthy(),
            id="front-unhealthy",
            threshold=1,
            periods=5,
            description="A front fails the load balancer's health check: see its log, and Valkey.",
        )
        alarms.on(
            balancer.failures(),
            id="front-http-failures",
            threshold=5,
            periods=5,
            breaching=3,
            description="5 % of HTTP requests or more end in a 5xx: see the fronts' log.",
        )

    def _add_outputs(self, balancer: LoadBalancer) -> None:
        description = "base_url of an OpenAI SDK; without a zone, by a name that leads here"
        CfnOutput(self, "HttpUrl", value=balancer.url, description=description)
        if self._front.hosted_zone_id is None:
            CfnOutput(
                self,
                "HttpTarget",
                value=balancer.dns_name,
                description="What a CNAME record of the certificate's name points to",
            )
