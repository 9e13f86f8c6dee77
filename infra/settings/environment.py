"""Settings of one environment: the only input of the stacks, validated before anything is built.

They come from ``infra/settings/environments/<name>.toml``, or from a file of your own. Defaults
are the cheapest that works; ``prod.toml`` says what production adds.
"""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from infra.settings.fields import Account, Name, Region, TagKey, TagValue
from infra.settings.front import BalancedFront, Front, FunctionFront
from infra.settings.sections import (
    Architecture,
    Fargate,
    Functions,
    Gateway,
    Gpu,
    Inference,
    Network,
    Observability,
    Postgres,
    Relay,
    Section,
    Valkey,
)

__all__ = [
    "Architecture",
    "BalancedFront",
    "EnvironmentSettings",
    "EnvironmentSettingsError",
    "Fargate",
    "FunctionFront",
    "Functions",
    "Gateway",
    "Gpu",
    "Inference",
    "Network",
    "Observability",
    "Postgres",
    "Relay",
    "Valkey",
    "load",
]

ENVIRONMENTS = Path(__file__).parent / "environments"


class EnvironmentSettingsError(Exception):
    """The settings are missing or invalid; the text is one line that names each wrong setting."""


class EnvironmentSettings(Section):
    """Everything about one environment. `protect` keeps data and refuses deletion."""

    name: Name
    protect: bool = False
    tags: dict[TagKey, TagValue] = Field(default_factory=dict)
    region: Region | None = None
    account: Account | None = None
    network: Network = Network()
    valkey: Valkey = Valkey()
    postgres: Postgres = Postgres()
    functions: Functions = Functions()
    gateway: Gateway = Gateway()
    front: Front = FunctionFront()
    relay: Relay = Relay()
    inference: Inference = Inference()
    observability: Observability = Observability()

    @model_validator(mode="after")
    def _tags_are_free(self) -> Self:
        taken = [key for key in self.tags if key.lower().startswith(("aws:", "axon:"))]
        if taken:
            raise ValueError(f"tags must not begin with aws: or axon: {', '.join(taken)}")
        return self

    @model_validator(mode="after")
    def _certificates_are_here(self) -> Self:
        arns = {"gateway.certificate_arn": self.gateway.certificate_arn}
        if isinstance(self.front, BalancedFront):
            arns["front.certificate_arn"] = self.front.certificate_arn
            arns["front.web_acl_arn"] = self.front.web_acl_arn
        for setting, arn in arns.items():
            if arn and self.region and arn.split(":")[3] != self.region:
                raise ValueError(f"{setting} must be in {self.region}")
        return self

    @model_validator(mode="after")
    def _search_spreads(self) -> Self:
        nodes = self.observability.opensearch_nodes
        zones = min(nodes, self.network.zones)
        if nodes % zones:
            raise ValueError(f"opensearch_nodes {nodes} must be a multiple of the {zones} zones")
        return self

    @model_validator(mode="after")
    def _protects(self) -> Self:
        if not self.protect:
            return self
        search = self.observability
        single = [
            what
            for what, wrong in (
                ("valkey.nodes", self.valkey.nodes < 2),
                ("postgres.multi_az", not self.postgres.multi_az),
                ("network.nat_gateways", self.network.nat_gateways < self.network.zones),
                (
                    "observability.opensearch_nodes",
                    search.opensearch_instance_type and search.opensearch_nodes < 2,
                ),
            )
            if wrong
        ]
        if single:
            raise ValueError(f"protect = true allows nothing single: {', '.join(single)}")
        return self


def load(name_or_path: str) -> EnvironmentSettings:
    """Return the settings of an environment, given its name (``dev``) or the path of a file.

    Raises
    ------
    EnvironmentSettingsError
        The file does not exist, or a setting is invalid.
    """
    path = Path(name_or_path)
    named = path.suffix != ".toml"
    if named:
        path = ENVIRONMENTS / f"{name_or_path}.toml"
    settings = _read(path, name_or_path)
    if named and settings.name != name_or_path:
        # A copied file with the old name inside would be deployed over the old environment.
        raise EnvironmentSettingsError(
            f'{path.name}: name: is "{settings.name}", must be "{name_or_path}" as the file says'
        )
    return settings


def _read(path: Path, name_or_path: str) -> EnvironmentSettings:
    try:
        return EnvironmentSettings.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError as error:
        known = ", ".join(sorted(file.stem for file in ENVIRONMENTS.glob("*.toml")))
        raise EnvironmentSettingsError(
            f"there is no environment {name_or_path}: use {known}, or the path of a .toml file"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentSettingsError(f"{path.name}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(map(_describe, error.errors()))
        raise EnvironmentSettingsError(f"{path.name}: {wrong}") from error


def _describe(error: ErrorDetails) -> str:
    where = ".".join(map(str, error["loc"])) or "settings"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
