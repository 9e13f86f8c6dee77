"""Alarms on Valkey and PostgreSQL: memory, CPU, storage, replication, connections."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.constructs.data.database import Database
from infra.constructs.data.valkey_cache import ValkeyCache
from infra.constructs.observability.alarms import AT_MOST, Alarms
from infra.settings.environment import EnvironmentSettings

GIB = 1024**3
SIZES_GIB = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16}
# Quotas: ElastiCache accepts 65,000 connections a node; RDS about 110 a GiB of memory
# (max_connections = DBInstanceClassMemory / 9531392).
VALKEY_CONNECTIONS = 50_000
POSTGRES_CONNECTIONS_PER_GIB = 80

_VALKEY = (
    (
        "memory",
        "DatabaseMemoryUsagePercentage",
        70,
        "Valkey fills up: at 85 % it refuses new requests. Choose a larger valkey.node_type.",
    ),
    (
        "cpu",
        "EngineCPUUtilization",
        80,
        "Valkey's main thread is busy. Choose a faster valkey.node_type.",
    ),
    (
        "connections",
        "CurrConnections",
        VALKEY_CONNECTIONS,
        "Valkey soon refuses connections. Look for the service that does not close its own.",
    ),
    (
        "refused-commands",
        "CommandAuthorizationFailures",
        1,
        "Valkey refused a command: code and stacks differ in version, or a stranger is in. Deploy.",
    ),
)


def watch_valkey(alarms: Alarms, valkey: ValkeyCache, *, settings: EnvironmentSettings) -> None:
    """Add the alarms on Valkey.

    They watch all nodes: after a failover a replica is the primary, under its old name.
    """
    for name, metric, threshold, description in _VALKEY:
        alarms.on(
            valkey.metric(metric),
            id=f"valkey-{name}",
            threshold=threshold,
            periods=2,
            description=description,
        )
    if settings.valkey.nodes > 1:
        alarms.on(
            valkey.metric("ReplicationLag", period=Duration.minutes(1)),
            id="valkey-replication-lag",
            threshold=5,
            periods=3,
            description="A Valkey replica is seconds behind: a failover now would lose events. "
            "Look at the network and the processors of the nodes.",
        )


def watch_database(alarms: Alarms, database: Database, *, settings: EnvironmentSettings) -> None:
    """Add the alarms on PostgreSQL; thresholds follow the instance's memory and storage."""
    memory_gib = memory(settings.postgres.instance_type)
    instance = database.instance
    alarms.on(
        instance.metric_cpu_utilization(),
        id="postgres-cpu",
        threshold=80,
        periods=3,
        description="PostgreSQL is busy. Look at pg_stat_statements, or choose a larger "
        "postgres.instance_type.",
    )
    alarms.on(
        instance.metric_freeable_memory(),
        id="postgres-memory",
        threshold=memory_gib * GIB // 20,
        comparison=AT_MOST,
        periods=3,
        description="PostgreSQL has hardly any memory left. Choose a larger "
        "postgres.instance_type.",
    )
    alarms.on(
        instance.metric_database_connections(statistic=cloudwatch.Stats.MAXIMUM),
        id="postgres-connections",
        threshold=memory_gib * POSTGRES_CONNECTIONS_PER_GIB,
        periods=2,
        description="PostgreSQL soon refuses connections. Set postgres.proxy, or choose a larger "
        "postgres.instance_type.",
    )
    alarms.on(
        instance.metric_free_storage_space(statistic=cloudwatch.Stats.MINIMUM),
        id="postgres-storage",
        threshold=settings.postgres.storage_gb * GIB // 20,
        comparison=AT_MOST,
        description="PostgreSQL's storage is nearly full, so it no longer grows by itself. Raise "
        "postgres.max_storage_gb.",
    )


def memory(instance_type: str) -> int:
    """Return the GiB of memory of a database instance type, roughly."""
    family, _, size = instance_type.removeprefix("db.").partition(".")
    gib = SIZES_GIB.get(size) or SIZES_GIB["xlarge"] * int(size.removesuffix("xlarge"))
    return gib * 2 if family.startswith(("r", "x")) else gib
