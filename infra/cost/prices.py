"""AWS's prices in a region, from the dated table beside this file (prices.toml)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TABLE = Path(__file__).with_name("prices.toml")
STALE = timedelta(days=400)


class PriceError(Exception):
    """The table lacks the prices of a region; the text is one line."""


class Price(BaseModel):
    """One price. `seen`: a date on which it was valid; `note`: origin of an unconfirmed one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Annotated[float, Field(ge=0)]
    unit: str
    source: str
    seen: date
    confirmed: bool = True
    note: str = ""

    @model_validator(mode="after")
    def _explains(self) -> Self:
        if self.confirmed == bool(self.note):
            raise ValueError("an unconfirmed price says in `note` where it is from, no other does")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """The prices of one region, by key: ``valkey/cache.t4g.micro``. `vcpus` of instance types."""

    region: str
    entries: Mapping[str, Price]
    vcpus: Mapping[str, int]

    def find(self, key: str) -> Price | None:
        """Return the price `key`, None when the table lacks it."""
        return self.entries.get(key)


def load(region: str, *, table: Path = TABLE) -> Prices:
    """Read the prices of a region.

    Raises
    ------
    PriceError
        The table lacks the region.
    """
    content: dict[str, Any] = tomllib.loads(table.read_text())
    sources: dict[str, str] = content.pop("sources")
    vcpus: dict[str, int] = content.pop("vcpus")
    if region not in content:
        known = " or ".join(sorted(content))
        raise PriceError(f"there are no prices for {region}: estimate with --region {known}")
    entries = {
        key: Price.model_validate(
            entry | {"source": sources[entry["source"]].format(region=region)}
        )
        for key, entry in content[region].items()
    }
    return Prices(region=region, entries=entries, vcpus=vcpus)
