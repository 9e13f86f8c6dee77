"""The estimate of an environment: its bills, their assumptions, and what they leave out."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from infra.cost import prices as price_table
from infra.cost.assumptions import Assumptions
from infra.cost.bill import Bill, Line
from infra.cost.front import add_idle_front
from infra.cost.idle import idle
from infra.cost.payloads import per_million_payloads
from infra.cost.prices import STALE, Prices
from infra.cost.requests import MILLION, per_million, per_million_http
from infra.settings.environment import BalancedFront, EnvironmentSettings, FunctionFront

DEFAULT_REGION = "us-east-1"

NOT_COUNTED = (
    "data transfer: out to clients, and between zones",
    "free tier, Savings Plans, reserved nodes, credits, support, taxes",
    "Spot's price moves: a fixed discount is assumed",
    "backups beyond the free allowance, CPU credits beyond the baseline of burstable instances",
    "requests to KMS, Secrets Manager and ECS, to S3 for models, queries of Prometheus",
    "metrics that exist only while something happens, the log of the database's machine",
    "workers that start, wait for work, or are about to be stopped",
    "a web ACL and a Route 53 zone, which are there before the stacks",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way to ask: its name, what it costs while nobody asks, and what a million answers cost."""

    name: str
    idle: Bill
    answers: Bill


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The bills of an environment.

    `requests` is that of a million requests over WebSocket, `http` of a million over HTTP in the
    environment's own home of the front, `payloads` what a million of either cost more if their
    input waits in S3, `ways` compares them with the other home. `warnings` lists
    prices that are too old to rely on.
    """

    environment: str
    prices: Prices
    assumptions: Assumptions
    idle: Bill
    requests: Bill
    http: Bill
    payloads: Bill
    ways: tuple[Way, ...]
    warnings: tuple[str, ...]

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Costs that are left out; those without a known price come first."""
        bills = (self.idle, self.requests, self.http, self.payloads)
        missing = [each for bill in bills for each in bill.missing]
        return (*dict.fromkeys(missing), *NOT_COUNTED)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of all bills."""
        bills = (self.idle, self.requests, self.http, self.payloads)
        return tuple(line for bill in bills for line in bill.lines)

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
            "million_http_requests": _bill(self.http),
            "million_payloads": _bill(self.payloads),
            "ways": [
                {
                    "way": way.name,
                    "usd_per_answer": round(way.answers.total / MILLION, 9),
                    "idle_month_usd": round(way.idle.total, 2),
                }
                for way in self.ways
            ],
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
    http = per_million_http(settings, prices, assumptions, front=settings.front)
    payloads = per_million_payloads(prices, assumptions)
    return Estimate(
        environment=settings.name,
        prices=prices,
        assumptions=assumptions,
        idle=month,
        requests=million,
        http=http,
        payloads=payloads,
        ways=_ways(settings, prices, assumptions, websocket=million),
        warnings=_stale([*month.lines, *million.lines, *http.lines, *payloads.lines], today),
    )


def _ways(
    settings: EnvironmentSettings, prices: Prices, assumptions: Assumptions, *, websocket: Bill
) -> tuple[Way, ...]:
    """Return the ways to ask; a home that the environment does not have is as by default."""
    front = settings.front
    balanced = isinstance(front, BalancedFront)
    homes: dict[str, BalancedFront | FunctionFront] = {
        "HTTP, a function URL": FunctionFront() if balanced else front,
        # Without the checks: prices do not depend on its certificate.
        "HTTP, a balancer": front if balanced else BalancedFront.model_construct(home="balancer"),
    }
    ways = [Way(name="WebSocket, API Gateway", idle=Bill(prices), answers=websocket)]
    for name, home in homes.items():
        idle_front = Bill(prices)
        add_idle_front(idle_front, settings, home, assumptions)
        answers = per_million_http(settings, prices, assumptions, front=home)
        ways.append(Way(name=name, idle=idle_front, answers=answers))
    return tuple(ways)


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
