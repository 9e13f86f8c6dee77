"""The cost of inference workers, on Fargate or on GPU instances as the settings say."""

from infra.cost.assumptions import Assumptions
from infra.cost.bill import Bill
from infra.settings.environment import BalancedFront, EnvironmentSettings, Fargate, Gpu, Relay

HOURS = 730
"""Hours in a month, as in AWS's pricing calculator."""


def add_workers(
    bill: Bill, settings: EnvironmentSettings, assumptions: Assumptions, *, hours: float
) -> None:
    """Add the lines of one worker that runs for `hours`."""
    match settings.inference.capacity:
        case Fargate() as fargate:
            spot = f", {fargate.spot_percent} % Spot" if fargate.spot_percent else ""
            add_fargate(
                bill,
                "Inference workers",
                fargate,
                hours=hours,
                suffix=f" each{spot}",
                discount=fargate.spot_percent / 100 * assumptions.spot_discount,
            )
        case Gpu() as gpu:
            _add_gpu(bill, gpu, assumptions, hours=hours)


def add_fargate(
    bill: Bill,
    what: str,
    capacity: BalancedFront | Fargate | Relay,
    *,
    hours: float,
    detail: str = "",
    suffix: str = "",
    discount: float = 0.0,
) -> None:
    """Add the lines of tasks that run for `hours` together."""
    for part, amount in (("vcpu", capacity.cpu / 1024), ("gb", capacity.memory_mb / 1024)):
        bill.add(
            f"{what} on Fargate ({detail}{amount:g} {PARTS[part]}{suffix})",
            f"fargate/{capacity.architecture}/{part}",
            hours * amount,
            discount=discount,
        )


def _add_gpu(bill: Bill, capacity: Gpu, assumptions: Assumptions, *, hours: float) -> None:
    instance = capacity.instance_types[0]
    hours *= capacity.nodes_per_model
    spot = f", {capacity.spot_percent} % Spot" if capacity.spot_percent else ""
    bill.add(
        f"Inference workers on {instance}{spot}",
        f"ec2/{instance}",
        hours,
        discount=capacity.spot_percent / 100 * assumptions.spot_discount,
        setting="inference.capacity.instance_types",
    )
    months = hours / HOURS
    bill.add("Disks of inference workers", "ebs/gp3", months * capacity.disk_gb)
    beyond = DISK_MIB_S - FREE_MIB_S
    bill.add("Throughput of those disks", "ebs/gp3/throughput", months * beyond)


DISK_MIB_S = 500
FREE_MIB_S = 125
"""Throughput that a gp3 disk includes; the rest of `DISK_MIB_S` is billed (AWS EBS pricing)."""

PARTS = {"vcpu": "vCPU", "gb": "GB"}
