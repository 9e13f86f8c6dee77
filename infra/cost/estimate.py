"""The estimate of an environment: its two bills, their assumptions, and what they leave out."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from infra.cost import prices as price_table
from infra.cost.assumptions import Assumptions
from infra.cost.bill import Bill, Line
from infra.cost.idle import idle
from infra.cost.prices import STALE, Prices
from infra.cost.requests import per_million
from infra.settings.environment import EnvironmentSettings

DEFAULT_REGION = "us-east-1"

NOT_COUNTED = (
    "data transfer: out to clients, and between zones",
    "free tier, Savings Plans, reserved nodes, credits, support, taxes",
    "Spot's price moves: a fixed discount is assumed",
    "backups beyond the free allowance, CPU credits beyond the baseline of burstable instances",
    "requests to KMS, S3, Secrets Manager and ECS, queries of Prometheus",
    "metrics that exist only while something happens, the log of the database's machine",
    "workers that start, wait for work, or are about to be stopped",
    "capacity units of the load balancer, which WebSockets do not use",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Both bills of an environment. `warnings` lists prices that are too old to rely on."""

    environment: str
    prices: Prices
    assumptions: Assumptions
    idle: Bill
    requests: Bill
    warnings: tuple[str, ...]

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Costs that are left out; those without a known price come first."""
        return (*dict.fromkeys(self.idle.missing + self.requests.missing), *NOT_COUNTED)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of both bills."""
        return (*self.idle.lines, *self.requests.lines)

    @property
    def unconfirmed(self) -> dict[str, str]:
        """Source of each price that no dated document confirms, by the line's text."""
        return {line.what: line.price.note for line in self.lines if not line.price.confirmed}

    @property
    def dates(self) -> tuple[date, date]:
        """Dates of the oldest and the newest price."""
        seen = [line.price.seen for line in self.lines]
        return min(seen), max(seen)

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON-ready values, for ``axon cost --json``."""
        return {
            "environment": self.environment,
            "region": self.prices.region,
            "currency": "USD",
            "idle_month": _bill(self.idle),
            "million_requests": _bill(self.requests),
            "assumptions": asdict(self.assumptions),
            "not_counted": list(self.not_counted),
            "warnings": list(self.warnings),
        }


def estimate(
    settings: EnvironmentSettings,
    *,
    assumptions: Assumptions,
    region: str | None = None,
    today: date,
) -> Estimate:
    """Return the estimate for `region`, else the environment's region, else `DEFAULT_REGION`.

    Raises
    ------
    PriceError
        The price table lacks the region.
    """
    prices = price_table.load(region or settings.region or DEFAULT_REGION)
    month = idle(settings, prices, assumptions)
    million = per_million(settings, prices, assumptions)
    return Estimate(
        environment=settings.name,
        prices=prices,
        assumptions=assumptions,
        idle=month,
        requests=million,
        warnings=_stale([*month.lines, *million.lines], today),
    )


def _stale(lines: Iterable[Line], today: date) -> tuple[str, ...]:
    old = sorted({line.what for line in lines if today - line.price.seen > STALE})
    if not old:
        return ()
    return (f"prices seen more than {STALE.days} days ago: {', '.join(old)}",)


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "usd": round(bill.total, 2),
        "complete": not bill.missing,
        "lines": [_line(line) for line in bill.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "what": line.what,
        "quantity": line.quantity,
        "unit": line.price.unit,
        "usd_per_unit": line.price.usd,
        "discount": line.discount,
        "usd": round(line.usd, 4),
        "source": line.price.source,
        "seen": line.price.seen.isoformat(),
        "confirmed": line.price.confirmed,
    }
