from typing import Any

import pytest

from infra.cost.assumptions import Assumptions
from infra.cost.bill import Bill
from infra.cost.idle import idle
from infra.cost.prices import Prices, load
from infra.settings.environment import EnvironmentSettings
from infra.settings.environment import load as load_settings
from tests.unit.infra.cost.price_samples import DOLLARS

HOURS = 730
BALANCED = {
    "home": "balancer",
    "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
}


def bill(settings: dict[str, Any], *, prices: Prices = DOLLARS, **assumed: Any) -> Bill:
    environment = EnvironmentSettings.model_validate({"name": "test", **settings})
    return idle(environment, prices, Assumptions(**assumed))


def quantities(settings: dict[str, Any], **assumed: Any) -> dict[str, float]:
    return {line.what: line.quantity for line in bill(settings, **assumed).lines}


def usd(made: Bill) -> dict[str, float]:
    return {line.what: line.usd for line in made.lines}


def test_idle_bill_of_the_network() -> None:
    found = quantities({"network": {"zones": 3, "nat_gateways": 2}})
    assert found["NAT gateways"] == 2 * HOURS
    assert found["Public IPv4 addresses of NAT gateways"] == 2 * HOURS


def test_idle_bill_of_a_balanced_front() -> None:
    front = {**BALANCED, "tasks": 3, "cpu": 1024, "memory_mb": 4096}
    found = quantities({"network": {"zones": 3}, "front": front}, insights=10, series=100)
    assert found["Load balancer"] == HOURS
    assert found["Public IPv4 addresses of the load balancer"] == 3 * HOURS
    assert found["Fronts on Fargate (3 of 1 vCPU)"] == 3 * HOURS
    assert found["Fronts on Fargate (3 of 4 GB)"] == 3 * 4 * HOURS
    assert found["Metrics of the front service"] == 10 + 1
    # Two relays and three fronts.
    assert found["Prometheus"] == pytest.approx(5 * 100 * 4 * 60 * HOURS / 1e7)


def test_idle_bill_has_nothing_for_a_front_that_is_a_function() -> None:
    found = quantities({"front": {"home": "function", "reserved_concurrency": 5}})
    assert not [what for what in found if "ront" in what or "balancer" in what]


def test_idle_bill_of_a_single_database() -> None:
    found = quantities({"postgres": {"storage_gb": 50}})
    assert found["PostgreSQL (db.t4g.micro)"] == HOURS
    assert found["PostgreSQL storage"] == 50
    assert "RDS Proxy" not in found


def test_idle_bill_of_a_standby_has_its_own_price() -> None:
    made = bill({"postgres": {"multi_az": True, "storage_gb": 50}}, prices=load("us-east-1"))
    assert usd(made)["PostgreSQL (db.t4g.micro with a standby)"] == pytest.approx(0.032 * HOURS)
    assert usd(made)["PostgreSQL storage with a standby"] == pytest.approx(0.23 * 50)


@pytest.mark.parametrize(("instance_type", "vcpus"), [("db.m7g.large", 2), ("db.r7g.xlarge", 4)])
def test_idle_bill_of_the_proxy_follows_the_instance(instance_type: str, vcpus: int) -> None:
    found = quantities({"postgres": {"instance_type": instance_type, "proxy": True}})
    assert found["RDS Proxy"] == vcpus * HOURS


def test_idle_bill_leaves_out_a_proxy_of_unknown_size() -> None:
    made = bill({"postgres": {"instance_type": "db.r6g.large", "proxy": True}})
    assert made.missing == [
        "RDS Proxy: infra/cost/prices.toml does not say how many vCPUs db.r6g.large has"
    ]


def test_idle_bill_of_relays_on_spot() -> None:
    relay = {"tasks": 3, "max_tasks": 3, "cpu": 512, "memory_mb": 1024, "spot": True}
    found = usd(bill({"relay": relay}, spot_discount=0.6))
    # One at the full price, two at 40 % of it.
    cpu = found["Relays on Fargate (3 of 0.5 vCPU, 2 on Spot)"]
    assert cpu == pytest.approx((1 + 2 * 0.4) * 0.5 * HOURS)
    assert found["Relays on Fargate (3 of 1 GB, 2 on Spot)"] == pytest.approx(1.8 * HOURS)


def test_idle_bill_without_workers_has_no_worker_lines() -> None:
    workers = {name: cost for name, cost in usd(bill({})).items() if "workers" in name}
    assert list(workers.values()) == [0, 0]


def test_idle_bill_of_workers_that_always_run() -> None:
    capacity = {"kind": "fargate", "cpu": 4096, "memory_mb": 8192, "spot_percent": 50}
    made = bill({"inference": {"min_tasks": 2, "capacity": capacity}}, spot_discount=0.6)
    # Half of them at 40 % of the price.
    workers = [cost for what, cost in usd(made).items() if "workers" in what]
    assert workers == pytest.approx([2 * 4 * HOURS * 0.7, 2 * 8 * HOURS * 0.7])


def test_idle_bill_of_gpu_workers_that_always_run() -> None:
    inference = {
        "engine": "vllm",
        "model_uri": "models://big",
        "min_tasks": 1,
        "capacity": {
            "kind": "gpu",
            "instance_types": ["g6.12xlarge"],
            "gpus_per_instance": 4,
            "nodes_per_model": 2,
            "disk_gb": 200,
        },
    }
    found = quantities({"inference": inference}, model_gb=140)
    assert found["Inference workers on g6.12xlarge"] == 2 * HOURS
    assert found["Disks of inference workers"] == pytest.approx(2 * 200)
    assert found["Throughput of those disks"] == pytest.approx(2 * 375)
    assert found["Models"] == 140


def test_idle_bill_has_the_polling_of_lambda() -> None:
    # Five long polls of twenty seconds, all month.
    found = quantities({})
    assert found["Lambda's polling of history.fifo"] == pytest.approx(5 * 3 * 60 * HOURS / 1e6)
    assert found["Lambda's polling of jobs-dlq"] == pytest.approx(5 * 3 * 60 * HOURS / 1e6)


def test_idle_bill_of_full_observability() -> None:
    observability = {
        "log_retention_days": 90,
        "opensearch_instance_type": "r7g.large.search",
        "opensearch_nodes": 3,
        "grafana": True,
    }
    settings = {"network": {"zones": 3}, "observability": observability}
    found = quantities(settings, idle_log_gb=2, series=50, editors=0)
    assert found["Logs"] == 2
    assert found["Logs that are kept"] == 6
    # Two relays, every fifteen seconds, in tens of millions.
    assert found["Prometheus"] == pytest.approx(2 * 50 * 4 * 60 * HOURS / 1e7)
    assert found["OpenSearch nodes (r7g.large.search)"] == 3 * HOURS
    assert found["Disks of OpenSearch nodes"] == 3 * 50
    assert found["Firehose's way into the VPC"] == 3 * HOURS
    assert found["KMS key of the logs"] == 1
    assert found["Grafana"] == 1


def test_idle_bill_without_observability() -> None:
    found = quantities({"observability": {"prometheus": False}})
    assert not {"Prometheus", "Grafana"} & set(found)
    assert not any("OpenSearch" in what for what in found)


def test_idle_bill_leaves_out_finished_images() -> None:
    assert quantities({}, image_gb=7)["Container images"] == 7
    finished = {"relay": {"image": "registry/relay:1"}, "inference": {"image": "registry/worker:1"}}
    assert "Container images" not in quantities(finished)
    assert "Container images" in quantities({**finished, "front": BALANCED})
    front = {**BALANCED, "image": "registry/front:1"}
    assert "Container images" not in quantities({**finished, "front": front})


def test_idle_bill_of_dev() -> None:
    found = usd(idle(load_settings("dev"), load("us-east-1"), Assumptions()))
    expected = {
        "NAT gateways": 0.045 * 730,
        "Valkey nodes (cache.t4g.micro)": 0.0128 * 730,
        "PostgreSQL (db.t4g.micro)": 0.016 * 730,
        "PostgreSQL storage": 0.115 * 20,
        "Relays on Fargate (2 of 0.25 vCPU)": 0.03238 * 0.25 * 2 * 730,
        "Relays on Fargate (2 of 0.5 GB)": 0.00356 * 0.5 * 2 * 730,
    }
    assert {what: found[what] for what in expected} == pytest.approx(expected)
