from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.cost.prices import Price, PriceError, load

REGIONS = ("us-east-1", "eu-central-1")


@pytest.mark.parametrize("region", REGIONS)
def test_prices_have_a_source_and_a_date(region: str) -> None:
    prices = load(region)
    assert len(prices.entries) > 30
    for key, price in prices.entries.items():
        assert price.source.startswith("https://"), key
        assert "{" not in price.source, key
        assert price.seen <= datetime.now(UTC).date(), key
        assert price.unit, key


def test_prices_from_a_price_list_are_those_of_the_region() -> None:
    price = load("eu-central-1").find("valkey/cache.t4g.micro")
    assert price is not None
    assert price.usd == 0.0144
    assert price.source.endswith("/AmazonElastiCache/current/eu-central-1/index.json")


def test_prices_return_none_for_an_unknown_key() -> None:
    assert load("us-east-1").find("valkey/cache.t1.micro") is None


def test_prices_refuse_an_unknown_region() -> None:
    with pytest.raises(PriceError) as raised:
        load("mars-north-1")
    assert str(raised.value) == (
        "there are no prices for mars-north-1: estimate with --region eu-central-1 or us-east-1"
    )


def test_prices_that_are_unconfirmed_have_a_note() -> None:
    entry = {"usd": 1, "unit": "hour", "source": "https://aws.amazon.com/", "seen": "2026-11-21"}
    assert Price.model_validate(entry).confirmed
    with pytest.raises(ValidationError, match="where it is from"):
        Price.model_validate(entry | {"confirmed": False})
    with pytest.raises(ValidationError, match="where it is from"):
        Price.model_validate(entry | {"note": "heard it somewhere"})


def test_prices_load_another_table(tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    table.write_text(
        """
        [sources]
        moon = "https://example.com/{region}"
        [vcpus]
        [moon-1]
        "nat/hour" = { usd = 2, unit = "hour", source = "moon", seen = 2026-01-02 }
        """
    )
    price = load("moon-1", table=table).find("nat/hour")
    assert price is not None
    assert (price.usd, price.source) == (2, "https://example.com/moon-1")
