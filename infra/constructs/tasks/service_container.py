"""The container that does a service's work: hardened, and stopped with time to finish."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

from infra.constructs.security.findings import acknowledge
from infra.constructs.tasks.collector import METRICS_PORT, OTLP_ENDPOINT
from infra.settings.environment import EnvironmentSettings

USER = "10001:10001"
SCRATCH = "/scratch"
"""The only folder that the container may write to; its image gives it to `USER`."""

STOP_MARGIN_S = 10
"""Between the end of a service's own drain and its being killed."""

FARGATE_STOP_LIMIT_S = 120
OPEN_FILES = 65535
UNLIMITED = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What a container gets of its machine; on Fargate nothing but `cpu`, in 1/1024 vCPU."""

    cpu: int
    gpus: int | None = None
    devices: tuple[str, ...] = ()
    shared_memory_mb: int | None = None
    memory_reservation_mb: int | None = None


def common_environment(
    settings: EnvironmentSettings, *, region: str, stop_timeout_s: int
) -> dict[str, str]:
    """Return the variables that every service has."""
    variables = {
        # On EC2 the agent does not set it.
        "AWS_REGION": region,
        "AXON_HEALTH_PORT": str(METRICS_PORT),
        "AXON_STOP_TIMEOUT_S": str(stop_timeout_s),
    }
    if settings.observability.tracing:
        variables["AXON_OTLP_ENDPOINT"] = OTLP_ENDPOINT
    return variables


def health_check(
    *, python: str = "python", interval_s: int, retries: int, start_period_s: int
) -> ecs.HealthCheck:
    """Return the check that asks the service itself, from inside its container."""
    return ecs.HealthCheck(
        command=["CMD", python, "-m", "axon.adapters.observability.probe", str(METRICS_PORT)],
        interval=Duration.seconds(interval_s),
        timeout=Duration.seconds(5),
        retries=retries,
        start_period=Duration.seconds(start_period_s),
    )


def main_share(task_cpu: int) -> int:
    """Return the main container's part of a Fargate task, where the rest is for its sidecars.

    A container without a part of its own yields to all that have one.
    """
    return task_cpu * 3 // 4


def add_service_container(
    task: ecs.TaskDefinition,
    *,
    name: str,
    image: ecs.ContainerImage,
    environment: dict[str, str],
    health: ecs.HealthCheck,
    log_group: logs.ILogGroup,
    ports: Sequence[int] = (),
    hardware: Hardware,
) -> ecs.ContainerDefinition:
    """Add the container: not root, no capabilities, nothing writable but `SCRATCH`.

    It is killed `STOP_MARGIN_S` after the ``AXON_STOP_TIMEOUT_S`` of its environment.
    """
    linux = ecs.LinuxParameters(
        task, "Linux", init_process_enabled=True, shared_memory_size=hardware.shared_memory_mb
    )
    linux.drop_capabilities(ecs.Capability.ALL)
    linux.add_devices(*map(_device, hardware.devices))
    container = task.add_container(
        name,
        container_name=name,
        image=image,
        environment=dict(sorted(environment.items())),
        health_check=health,
        logging=ecs.LogDrivers.aws_logs(log_group=log_group, stream_prefix=name),
        port_mappings=[ecs.PortMapping(container_port=port) for port in ports] or None,
        user=USER,
        readonly_root_filesystem=True,
        linux_parameters=linux,
        # Fargate refuses the option; it grants no new privileges anyway.
        docker_security_options=None if task.is_fargate_compatible else ["no-new-privileges"],
        stop_timeout=Duration.seconds(int(environment["AXON_STOP_TIMEOUT_S"]) + STOP_MARGIN_S),
        cpu=hardware.cpu,
        memory_reservation_mib=hardware.memory_reservation_mb,
        gpu_count=hardware.gpus,
        ulimits=_limits(hardware.devices),
    )
    task.add_volume(name="scratch")
    container.add_mount_points(
        ecs.MountPoint(container_path=SCRATCH, source_volume="scratch", read_only=False)
    )
    _acknowledge(task)
    return container


def _device(path: str) -> ecs.Device:
    permissions = [ecs.DevicePermission.READ, ecs.DevicePermission.WRITE]
    return ecs.Device(host_path=path, container_path=path, permissions=permissions)


def _limits(devices: Sequence[str]) -> list[ecs.Ulimit]:
    """Allow a file for each connection; a device that reads memory itself needs it locked."""
    limits = {ecs.UlimitName.NOFILE: OPEN_FILES}
    if devices:
        limits[ecs.UlimitName.MEMLOCK] = UNLIMITED
    return [ecs.Ulimit(name=n, soft_limit=v, hard_limit=v) for n, v in limits.items()]


def _acknowledge(task: ecs.TaskDefinition) -> None:
    acknowledge(
        task,
        "AwsSolutions-ECS2",
        "The variables are addresses and limits; secrets are IAM tokens that the service gets.",
    )
    acknowledge(
        task.obtain_execution_role(),
        "AwsSolutions-IAM5[Resource::*]",
        "ecr:GetAuthorizationToken takes no resource; pulling is allowed from the image's own.",
    )
