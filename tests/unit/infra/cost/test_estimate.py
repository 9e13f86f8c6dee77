import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

import infra
from infra.cost.assumptions import Assumptions
from infra.cost.estimate import Estimate, estimate
from infra.cost.prices import PriceError, load
from infra.settings.environment import EnvironmentSettings
from infra.settings.environment import load as load_settings

TODAY = date(2026, 11, 21)


def of(environment: str, *, region: str | None = None, today: date = TODAY) -> Estimate:
    return estimate(
        load_settings(environment), assumptions=Assumptions(), region=region, today=today
    )


def test_estimate_uses_the_region_of_the_environment() -> None:
    settings = EnvironmentSettings(name="here", region="eu-central-1")
    own = estimate(settings, assumptions=Assumptions(), today=TODAY)
    asked = estimate(settings, assumptions=Assumptions(), region="us-east-1", today=TODAY)
    assert (own.prices.region, asked.prices.region) == ("eu-central-1", "us-east-1")
    assert of("dev").prices.region == "us-east-1"


def test_estimate_refuses_a_region_without_prices() -> None:
    with pytest.raises(PriceError, match="mars-north-1"):
        of("dev", region="mars-north-1")


def test_estimate_warns_of_old_prices() -> None:
    newest = of("dev").dates[1]
    assert of("dev", today=newest).warnings == ()
    oldest = of("dev").dates[0]
    assert of("dev", today=oldest + timedelta(days=400)).warnings == ()
    (warning,) = of("dev", today=oldest + timedelta(days=401)).warnings
    assert warning.startswith("prices seen more than 400 days ago: ")
    assert "API Gateway: messages" in warning
    assert "NAT gateways" not in warning


def test_estimate_names_unconfirmed_prices() -> None:
    unconfirmed = of("prod").unconfirmed
    assert unconfirmed["PostgreSQL (db.m7g.large with a standby)"].startswith("twice the price")
    assert "NAT gateways" not in unconfirmed


def test_estimate_names_an_instance_type_without_a_price() -> None:
    settings = EnvironmentSettings.model_validate(
        {"name": "odd", "valkey": {"node_type": "cache.r7g.16xlarge"}}
    )
    made = estimate(settings, assumptions=Assumptions(), today=TODAY)
    assert made.not_counted[0] == (
        "valkey.node_type: no price is known for cache.r7g.16xlarge in us-east-1; add it to "
        "infra/cost/prices.toml"
    )
    assert not made.as_dict()["idle_month"]["complete"]


def test_estimate_as_dict_is_json_for_programs() -> None:
    made = of("prod")
    told = json.loads(json.dumps(made.as_dict()))
    assert told["environment"] == "prod"
    assert told["idle_month"]["usd"] == round(made.idle.total, 2)
    assert told["million_requests"]["usd"] == round(made.requests.total, 2)
    assert told["assumptions"]["tokens"] == 300
    nat = next(line for line in told["idle_month"]["lines"] if line["what"] == "NAT gateways")
    assert nat["quantity"] * nat["usd_per_unit"] == pytest.approx(nat["usd"])
    price = load("us-east-1").find("nat/hour")
    assert price is not None
    assert (nat["source"], nat["seen"]) == (price.source, price.seen.isoformat())


def test_estimate_figures_are_those_of_the_readme() -> None:
    readme = (Path(infra.__file__).parents[1] / "README.md").read_text()
    dev, prod = of("dev"), of("prod")
    told = re.search(r"dev costs about ([\d,]+) USD a month and prod about ([\d,]+) USD", readme)
    assert told
    months = [float(figure.replace(",", "")) for figure in told.groups()]
    assert months == pytest.approx([dev.idle.total, prod.idle.total], rel=0.02)
    told = re.search(
        r"a million answers of 300 tokens add about (\d+) and (\d+) USD\s+over WebSocket, "
        r"(\d+) and (\d+) USD over HTTP",
        readme,
    )
    assert told
    millions = [float(figure) for figure in told.groups()]
    totals = [each.total for each in (dev.requests, prod.requests, dev.http, prod.http)]
    assert millions == pytest.approx(totals, rel=0.02)


def test_estimate_compares_the_ways_to_ask() -> None:
    for made in (of("dev"), of("prod")):
        websocket, function, balancer = made.ways
        assert websocket.answers is made.requests
        # The own home's figures are those of the bill, the idle ones a part of the month.
        own = function if made.environment == "dev" else balancer
        assert own.answers.total == made.http.total
        assert function.idle.total == websocket.idle.total == 0
        assert balancer.idle.total > 50
        assert balancer.answers.total < function.answers.total < websocket.answers.total
        (told,) = [way for way in made.as_dict()["ways"] if way["way"] == own.name]
        assert told["usd_per_answer"] == pytest.approx(made.http.total / 1e6, abs=1e-9)
