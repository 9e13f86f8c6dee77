"""Prices at which everything costs a dollar, so that a test sees quantities."""

from collections import defaultdict
from datetime import date

from infra.cost.prices import Price, Prices

DOLLAR = Price(usd=1, unit="each", source="https://example.com", seen=date(2026, 11, 1))

DOLLARS = Prices(
    region="everywhere-1",
    entries=type("Everything", (defaultdict,), {"get": defaultdict.__getitem__})(lambda: DOLLAR),
    vcpus={"db.m7g.large": 2, "db.r7g.xlarge": 4},
)
