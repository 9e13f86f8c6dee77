"""The number of metrics that an environment's alarms watch: CloudWatch charges for each."""

from infra.settings.environment import BalancedFront, EnvironmentSettings

FUNCTIONS = 21
"""Seven functions with three each; migrate, keys and models have none, as their callers wait."""

FRONT_FUNCTION = 2
FRONT = 6
FRONT_SCALING = 4

GATEWAY = 1
QUEUES = 5
POSTGRES = 4
VALKEY_NODE = 4
REPLICATION = 1
"""Alarm on replication lag, one a node where there are several."""

RELAY = 2
RELAY_SCALING = 4
"""Two policies; Application Auto Scaling creates one alarm for each direction."""

WORKERS = 8
WORKERS_SCALING = 6
"""One policy of three metrics, with one alarm for each direction."""

GPU_SCALING = 2
"""The policy of the ECS capacity provider."""

SEARCH = 4


def alarm_metrics(settings: EnvironmentSettings) -> int:
    """Return the number of metrics, including those of alarms that scaling creates."""
    nodes = settings.valkey.nodes
    valkey = nodes * (VALKEY_NODE + (REPLICATION if nodes > 1 else 0))
    search = SEARCH if settings.observability.opensearch_instance_type else 0
    gpu = GPU_SCALING if settings.inference.capacity.kind == "gpu" else 0
    balanced = isinstance(settings.front, BalancedFront)
    front = FRONT + FRONT_SCALING if balanced else FRONT_FUNCTION
    services = RELAY + RELAY_SCALING + front + WORKERS + WORKERS_SCALING + gpu
    return FUNCTIONS + GATEWAY + QUEUES + POSTGRES + valkey + services + search
