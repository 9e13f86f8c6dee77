"""The stack of the inference workers: on Fargate or on GPUs, as many as the jobs need."""

from aws_cdk import aws_ecs as ecs
from constructs import Construct

from axon import catalog
from infra.constructs.observability.alarms import Alarms
from infra.constructs.observability.log_groups import log_group
from infra.constructs.security.grants import grant
from infra.constructs.security.wildcards import acknowledge_below
from infra.constructs.tasks.backlog_scaling import BacklogScaling
from infra.constructs.tasks.cluster import create_cluster, missing_tasks
from infra.constructs.tasks.collector import add_collector
from infra.constructs.tasks.images import container_image
from infra.constructs.tasks.model_access import grant_model
from infra.constructs.tasks.service_container import add_service_container, common_environment
from infra.constructs.tasks.workers import (
    FargateWorkers,
    GpuWorkers,
    WorkerContainer,
    Workers,
    worker_names,
)
from infra.stacks.base import EnvironmentStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.platform import Platform


class InferenceStack(EnvironmentStack):
    """The worker service, its scaling and its alarms.

    Submitters start it by its name (`worker_names`): the service ``axon-{environment}-worker`` of
    the cluster ``axon-{environment}-inference``.
    """

    def __init__(self, scope: Construct, id: str, *, platform: Platform) -> None:
        settings, network = platform.settings, platform.network
        super().__init__(scope, id, settings=settings)
        self._settings = settings
        self._names = worker_names(settings)
        cluster = create_cluster(
            self,
            "Cluster",
            names=self._names,
            vpc=network.vpc,
            fargate=settings.inference.capacity.kind == "fargate",
        )
        workers = self._workers(cluster, network)
        self._add_containers(
            workers.task,
            workers.container,
            environment=self._environment(workers.task, cluster, platform),
            observability=platform.observability,
        )
        service = workers.serve()
        scaling = BacklogScaling(
            self,
            "Scaling",
            names=self._names,
            queue=platform.messaging.jobs.queue,
            inference=settings.inference,
            start=workers.container.start,
        )
        scaling.node.add_dependency(service)
        self._watch(platform.alarms(self), scaling)

    def _workers(self, cluster: ecs.Cluster, network: NetworkStack) -> Workers:
        inference = self._settings.inference
        if inference.capacity.kind == "fargate":
            return FargateWorkers(
                self,
                "Workers",
                names=self._names,
                capacity=inference.capacity,
                cluster=cluster,
                security_group=network.groups.worker,
            )
        return GpuWorkers(
            self,
            "Workers",
            names=self._names,
            inference=inference,
            capacity=inference.capacity,
            cluster=cluster,
            vpc=network.vpc,
            security_group=network.groups.worker,
        )

    def _environment(
        self, task: ecs.TaskDefinition, cluster: ecs.Cluster, platform: Platform
    ) -> dict[str, str]:
        """Grant the task its permissions; return its environment variables."""
        role = task.task_role
        variables = grant(role, catalog.WORKER, grants=platform.grants)
        cluster.grant_task_protection(role)
        acknowledge_below(role, cluster.arn_for_tasks("*"), "A task's id is not known before.")
        inference = self._settings.inference
        if inference.model_uri is not None:
            variables["AXON_MODEL_URI"] = grant_model(
                role, inference.model_uri, models=platform.data.models, key=platform.data.key
            )
        for folder in inference.model_folders:
            grant_model(role, folder, models=platform.data.models, key=platform.data.key)
        if inference.max_model_len is not None:
            variables["AXON_MAX_MODEL_LEN"] = str(inference.max_model_len)
        for name, value in inference.vllm.items():
            variables[f"AXON_{name.upper()}"] = str(value)
        return (
            variables
            | inference.deadline_variables
            | inference.trust_variables
            | common_environment(
                self._settings, region=self.region, stop_timeout_s=inference.stop_timeout_s
            )
            | {
                "AXON_ENGINE": inference.engine,
                "AXON_MAX_RECEIVES": str(catalog.JOBS.max_receives),
                "AXON_MODEL_NAME": inference.model_name,
                "AXON_SLOTS": str(inference.slots),
                "AXON_TASK_PROTECTION": "true",
                "AXON_TENSOR_PARALLEL_SIZE": str(inference.tensor_parallel_size),
                "AXON_VISIBILITY_TIMEOUT_S": str(catalog.JOBS.visibility_s),
            }
        )

    def _add_containers(
        self,
        task: ecs.TaskDefinition,
        container: WorkerContainer,
        *,
        environment: dict[str, str],
        observability: ObservabilityStack,
    ) -> None:
        settings = self._settings
        logs = log_group(self, "Logs", settings=settings, name="worker")
        observability.watch_logs(logs)
        add_service_container(
            task,
            name="worker",
            image=container_image(
                self,
                "Image",
                given=settings.inference.image,
                dockerfile=container.dockerfile,
                architecture=container.architecture,
            ),
            environment=environment,
            health=container.health,
            log_group=logs,
            hardware=container.hardware,
        )
        add_collector(
            task,
            settings=settings,
            prometheus=observability.prometheus,
            cluster=self._names.cluster,
            service=self._names.service,
            log_group=log_group(self, "CollectorLogs", settings=settings, name="worker-collector"),
        )

    def _watch(self, alarms: Alarms, scaling: BacklogScaling) -> None:
        alarms.on(
            missing_tasks(self._names),
            id="worker-tasks-missing",
            threshold=1,
            periods=30,
            description=(
                "Fewer workers run than should: see the service's events, for GPUs that are not "
                "to be had, and its stopped tasks."
            ),
        )
        alarms.on(
            scaling.unserved(),
            id="worker-none",
            threshold=1,
            periods=15,
            description="Jobs wait and no worker runs: see the service's events and stopped tasks.",
        )
