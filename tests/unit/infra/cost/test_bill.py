import pytest

from infra.cost.bill import Bill
from infra.cost.prices import Prices
from tests.unit.infra.cost.price_samples import DOLLAR

PRICES = Prices(region="here-1", entries={"nat/hour": DOLLAR, "ec2/g6.xlarge": DOLLAR}, vcpus={})


def test_bill_total_is_the_sum_of_its_lines() -> None:
    bill = Bill(PRICES)
    bill.add("NAT", "nat/hour", 730)
    bill.add("GPU", "ec2/g6.xlarge", 100, discount=0.25)
    assert [line.usd for line in bill.lines] == [730, 75]
    assert bill.total == pytest.approx(805)
    assert bill.missing == []


def test_bill_names_what_has_no_price() -> None:
    bill = Bill(PRICES)
    bill.add("Traces", "xray/traces", 1)
    bill.add("Workers", "ec2/g99.xlarge", 1, setting="inference.capacity.instance_types")
    assert bill.lines == []
    traces, workers = bill.missing
    assert traces == "Traces: no price is known in here-1"
    assert workers == (
        "inference.capacity.instance_types: no price is known for g99.xlarge in here-1; add it to "
        "infra/cost/prices.toml"
    )
