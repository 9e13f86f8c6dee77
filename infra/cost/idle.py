"""The bill of a month without requests: everything that costs money while it is unused."""

from axon.catalog import EVENT_SOURCES
from infra.cost.alarms import alarm_metrics
from infra.cost.assumptions import Assumptions
from infra.cost.bill import Bill
from infra.cost.front import add_idle_front
from infra.cost.prices import Prices
from infra.cost.workers import HOURS, add_fargate, add_workers
from infra.settings.environment import BalancedFront, EnvironmentSettings

POLLERS = 5
"""Long polls that Lambda keeps open at each queue that invokes a function (AWS docs)."""

LONG_POLL_S = 20
SCRAPE_S = 15
"""Scrape interval of the collector (collector.yaml), in seconds."""

KEYS = 2
"""KMS keys: of the data, and of the alarm topic."""

SEARCH_DISK_GB = 50

CONNECTIONS_METRIC = 1
"""The custom metric by which the relays scale."""


def idle(settings: EnvironmentSettings, prices: Prices, assumptions: Assumptions) -> Bill:
    """Return the bill of an idle month."""
    bill = Bill(prices)
    _network(bill, settings)
    _data(bill, settings, prices)
    _relay(bill, settings, assumptions)
    add_idle_front(bill, settings, settings.front, assumptions)
    add_workers(bill, settings, assumptions, hours=HOURS * settings.inference.min_tasks)
    _queues(bill)
    _observability(bill, settings, assumptions)
    _storage(bill, settings, assumptions)
    return bill


def _network(bill: Bill, settings: EnvironmentSettings) -> None:
    network = settings.network
    bill.add("NAT gateways", "nat/hour", HOURS * network.nat_gateways)
    bill.add("Public IPv4 addresses of NAT gateways", "ipv4/hour", HOURS * network.nat_gateways)


def _data(bill: Bill, settings: EnvironmentSettings, prices: Prices) -> None:
    valkey, postgres = settings.valkey, settings.postgres
    bill.add(
        f"Valkey nodes ({valkey.node_type})",
        f"valkey/{valkey.node_type}",
        HOURS * valkey.nodes,
        setting="valkey.node_type",
    )
    zones, standby = ("/multi-az", " with a standby") if postgres.multi_az else ("", "")
    bill.add(
        f"PostgreSQL ({postgres.instance_type}{standby})",
        f"rds/{postgres.instance_type}{zones}",
        HOURS,
        setting="postgres.instance_type",
    )
    bill.add(f"PostgreSQL storage{standby}", f"rds/storage{zones}", postgres.storage_gb)
    if postgres.proxy:
        _proxy(bill, postgres.instance_type, prices)
    bill.add("Secret of the database's owner", "secret", 1)
    bill.add("KMS keys", "kms/key", KEYS)


def _proxy(bill: Bill, instance_type: str, prices: Prices) -> None:
    vcpus = prices.vcpus.get(instance_type)
    if vcpus is None:
        bill.missing.append(
            f"RDS Proxy: infra/cost/prices.toml does not say how many vCPUs {instance_type} has"
        )
        return
    bill.add("RDS Proxy", "rds/proxy", HOURS * max(vcpus, 2))


def _relay(bill: Bill, settings: EnvironmentSettings, assumptions: Assumptions) -> None:
    relay = settings.relay
    # One relay is never on Spot (infra/constructs/tasks/fargate.py).
    share = (relay.tasks - 1) / relay.tasks if relay.spot else 0.0
    spot = f", {relay.tasks - 1} on Spot" if relay.spot else ""
    add_fargate(
        bill,
        "Relays",
        relay,
        hours=HOURS * relay.tasks,
        detail=f"{relay.tasks} of ",
        suffix=spot,
        discount=share * assumptions.spot_discount,
    )


def _queues(bill: Bill) -> None:
    """Add Lambda's polling of the queues: each empty poll is a billed request."""
    polls = HOURS * 3600 / LONG_POLL_S * POLLERS / 1e6
    for source in EVENT_SOURCES:
        kind = "fifo" if source.queue.endswith(".fifo") else "standard"
        bill.add(f"Lambda's polling of {source.queue}", f"sqs/{kind}", polls)


def _observability(bill: Bill, settings: EnvironmentSettings, assumptions: Assumptions) -> None:
    observability = settings.observability
    running = 1 if settings.inference.min_tasks == 0 else 2
    metrics = assumptions.insights * running + CONNECTIONS_METRIC
    bill.add("Alarms", "cloudwatch/alarm", alarm_metrics(settings))
    bill.add("Metrics of running services", "cloudwatch/metric", metrics)
    bill.add("Logs", "logs/ingested", assumptions.idle_log_gb)
    kept = assumptions.idle_log_gb * observability.log_retention_days / 30
    bill.add("Logs that are kept", "logs/stored", kept)
    if observability.prometheus:
        fronts = settings.front.tasks if isinstance(settings.front, BalancedFront) else 0
        tasks = settings.relay.tasks + fronts + settings.inference.min_tasks
        samples = tasks * assumptions.series * HOURS * 3600 / SCRAPE_S / 1e7
        bill.add("Prometheus", "prometheus/samples", samples)
    if observability.opensearch_instance_type:
        _opensearch(bill, settings, observability.opensearch_instance_type)
    if observability.grafana:
        bill.add("Grafana", "grafana/editor", max(assumptions.editors, 1))


def _opensearch(bill: Bill, settings: EnvironmentSettings, instance_type: str) -> None:
    nodes = settings.observability.opensearch_nodes
    bill.add(
        f"OpenSearch nodes ({instance_type})",
        f"opensearch/{instance_type}",
        HOURS * nodes,
        setting="observability.opensearch_instance_type",
    )
    bill.add("Disks of OpenSearch nodes", "opensearch/gp3", SEARCH_DISK_GB * nodes)
    zones = min(nodes, settings.network.zones)
    bill.add("Firehose's way into the VPC", "firehose/vpc-hour", HOURS * zones)
    bill.add("KMS key of the logs", "kms/key", 1)


def _storage(bill: Bill, settings: EnvironmentSettings, assumptions: Assumptions) -> None:
    images = [settings.relay.image, settings.inference.image]
    if isinstance(settings.front, BalancedFront):
        images.append(settings.front.image)
    if None in images:
        bill.add("Container images", "ecr/gb", assumptions.image_gb)
    if settings.inference.model_uri is not None:
        bill.add("Models", "s3/gb", assumptions.model_gb)
