"""The main container of a service: hardened, and stopped with time to finish."""

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
"""The only folder that the container may write to; the image makes `USER` its owner."""

STOP_MARGIN_S = 10
"""Seconds between the end of a service's own drain and the kill."""

FARGATE_STOP_LIMIT_S = 120
OPEN_FILES = 65535
UNLIMITED = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """A container's share of its machine; on Fargate only `cpu`, in units of 1/1024 vCPU."""

    cpu: int
    gpus: int | None = None
    devices: tuple[str, ...] = ()
    shared_memory_mb: int | None = None
    memory_reservation_mb: int | None = None


def common_environment(
    settings: EnvironmentSettings, *, region: str, stop_timeout_s: int
) -> dict[str, str]:
    """Return the environment variables that every service has."""
    variables = {
        # On EC2, unlike Fargate, the agent does not set it.
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
    """Return the health check, which asks the service from inside its container."""
    return ecs.HealthCheck(
        command=["CMD", python, "-m", "axon.adapters.observability.probe", str(METRICS_PORT)],
        interval=Duration.seconds(interval_s),
        timeout=Duration.seconds(5),
        retries=retries,
        start_period=Duration.seconds(start_period_s),
    )


def main_share(task_cpu: int) -> int:
    """Return the main container's share of a Fargate task's CPU; sidecars get the rest.

    Shares matter under load: a container without one gets CPU time only when all others idle.
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

    ECS kills it `STOP_MARGIN_S` after the ``AXON_STOP_TIMEOUT_S`` of its environment, so a drain
    that keeps its own limit is never cut off.
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
        # Fargate refuses the option, and never grants new privileges.
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
    """Allow a file for each connection, and locked memory for devices with direct memory access."""
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
