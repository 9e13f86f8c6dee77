"""A bill: its lines, and what it leaves out because its price is unknown."""

from dataclasses import dataclass

from infra.cost.prices import Price, Prices


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A quantity at a price. `discount` is the fraction of the list price that is taken off."""

    what: str
    quantity: float
    price: Price
    discount: float = 0.0

    @property
    def usd(self) -> float:
        """Amount in USD."""
        return self.quantity * self.price.usd * (1 - self.discount)


class Bill:
    """Collects lines. `missing` has a line of text for each item whose price is unknown."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.lines: list[Line] = []
        self.missing: list[str] = []

    @property
    def total(self) -> float:
        """The sum of the lines."""
        return sum(line.usd for line in self.lines)

    def add(
        self,
        what: str,
        key: str,
        quantity: float,
        *,
        discount: float = 0.0,
        setting: str | None = None,
    ) -> None:
        """Add a line at the price `key`; `setting` names the setting that chose it, if one did."""
        price = self._prices.find(key)
        if price is not None:
            self.lines.append(Line(what=what, quantity=quantity, price=price, discount=discount))
            return
        region = self._prices.region
        self.missing.append(
            f"{what}: no price is known in {region}"
            if setting is None
            else f"{setting}: no price is known for {key.split('/')[1]} in {region}; add it to "
            "infra/cost/prices.toml"
        )
