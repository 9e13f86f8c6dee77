"""`axon cost`: estimate the cost of an environment before it is deployed."""

import argparse
import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cli.arguments import Commands
from cli.errors import CommandError
from cli.tables import table

if TYPE_CHECKING:
    from infra.cost.bill import Bill
    from infra.cost.estimate import Estimate

MILLION = 1e6
HEADS = ("what", "quantity", "unit", "price", "USD")


def add_to(commands: Commands) -> None:
    """Add the command's arguments."""
    from infra.cost.assumptions import Assumptions

    parser = commands.add_parser("cost", help="estimate what an environment costs on AWS")
    parser.add_argument(
        "--env", default="dev", metavar="NAME", help="dev, prod or a .toml file (default: dev)"
    )
    parser.add_argument("--region", help="default: the environment's, else us-east-1")
    parser.add_argument("--json", action="store_true", help="for programs")
    assumed = parser.add_argument_group("assumptions")
    for field in fields(Assumptions):
        assumed.add_argument(
            f"--{_flag(field.name)}",
            type=_not_negative,
            default=field.default,
            metavar="N",
            help=f"{field.metadata['help']} (default: {field.default:g})".replace("%", "%%"),
        )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the estimate."""
    from infra.cost.assumptions import Assumptions
    from infra.cost.estimate import estimate
    from infra.cost.prices import PriceError
    from infra.settings.environment import EnvironmentSettingsError, load

    names = [field.name for field in fields(Assumptions)]
    try:
        made = estimate(
            load(arguments.env),
            assumptions=Assumptions(**{name: getattr(arguments, name) for name in names}),
            region=arguments.region,
            today=datetime.now(UTC).date(),
        )
    except (EnvironmentSettingsError, PriceError) as error:
        raise CommandError(str(error)) from error
    print(json.dumps(made.as_dict(), indent=2) if arguments.json else as_text(made))
    return 0


def as_text(estimate: "Estimate") -> str:
    """Return the estimate for people."""
    oldest, newest = estimate.dates
    assumed = [
        (f"--{_flag(field.name)}", f"{getattr(estimate.assumptions, field.name):g}", what)
        for field in fields(estimate.assumptions)
        for what in [field.metadata["help"]]
    ]
    intro = (
        f"Axon {estimate.environment} in {estimate.prices.region}: an estimate at on-demand list "
        f"prices\nseen between {oldest} and {newest}; infra/cost/prices.toml has their sources."
    )
    million = (
        "A million requests over WebSocket, on top of that "
        f"({estimate.assumptions.posts} events an answer)"
    )
    payloads = "A million requests whose input waits in S3 (above 64 KiB), on top of either"
    parts = [
        intro,
        *(f"warning: {warning}" for warning in estimate.warnings),
        f"A month without requests\n\n{_bill(estimate.idle)}",
        f"{million}\n\n{_bill(estimate.requests)}",
        f"A million requests over HTTP, on top of the month\n\n{_bill(estimate.http)}",
        f"{payloads}\n\n{_bill(estimate.payloads)}",
        f"One answer, by the way it is asked for; USD\n\n{_ways(estimate)}",
        f"Assumed\n\n{table(('flag', 'value', 'what'), assumed)}",
        _list("Not counted", estimate.not_counted),
    ]
    if estimate.unconfirmed:
        notes = [f"{what}: {note}" for what, note in estimate.unconfirmed.items()]
        parts.append(_list("* Prices that no dated document confirms", notes))
    return "\n\n".join(parts)


def _bill(bill: "Bill") -> str:
    rows = [
        (
            line.what,
            f"{line.quantity:,.2f}".removesuffix(".00"),
            line.price.unit,
            f"{line.price.usd:.10f}".rstrip("0").rstrip(".")
            + (f" -{line.discount:.0%}" if line.discount else ""),
            f"{line.usd:,.2f}{'' if line.price.confirmed else ' *'}",
        )
        for line in bill.lines
    ]
    total = "total" if not bill.missing else "total, without what has no known price"
    return table(HEADS, [*rows, (total, "", "", "", f"{bill.total:,.2f}")])


def _ways(estimate: "Estimate") -> str:
    rows = [
        (
            way.name,
            f"{way.answers.total / MILLION:.6f}{_open(way.answers)}",
            f"{way.idle.total:,.2f}{_open(way.idle)}",
        )
        for way in estimate.ways
    ]
    payloads = f"{estimate.payloads.total / MILLION:.6f}{_open(estimate.payloads)}"
    rows.append(("a large input, on top", payloads, f"{0:.2f}"))
    return table(("way", "an answer", "idle month of the way itself"), rows)


def _open(bill: "Bill") -> str:
    return " +" if bill.missing else ""


def _list(head: str, items: "tuple[str, ...] | list[str]") -> str:
    return "\n".join([head, "", *(f"- {item}" for item in items)])


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number
