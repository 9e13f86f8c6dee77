"""How many metrics the alarms of an environment watch: CloudWatch charges for each."""

from infra.settings.environment import EnvironmentSettings

FUNCTIONS = 18
"""Six functions, each with three: someone waits for the migrations, the keys and the models."""

GATEWAY = 1
QUEUES = 5
POSTGRES = 4
VALKEY_NODE = 4
REPLICATION = 1
"""A node's, where there are several."""

RELAY = 6
RELAY_SCALING = 4
"""Two policies; Application Auto Scaling makes an alarm for either direction."""

WORKERS = 8
WORKERS_SCALING = 6
"""One policy, made of three metrics."""

GPU_SCALING = 2
"""The capacity provider's policy."""

SEARCH = 4


def alarm_metrics(settings: EnvironmentSettings) -> int:
    """Return the number of metrics, those of alarms that scaling makes included."""
    nodes = settings.valkey.nodes
    valkey = nodes * (VALKEY_NODE + (REPLICATION if nodes > 1 else 0))
    search = SEARCH if settings.observability.opensearch_instance_type else 0
    gpu = GPU_SCALING if settings.inference.capacity.kind == "gpu" else 0
    services = RELAY + RELAY_SCALING + WORKERS + WORKERS_SCALING + gpu
    return FUNCTIONS + GATEWAY + QUEUES + POSTGRES + valkey + services + search
