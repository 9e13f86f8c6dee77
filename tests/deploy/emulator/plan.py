"""The emulator's configuration at its start."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

ACCOUNT = "000000000000"
REGION = "us-east-1"
VALKEY_PORT, POSTGRES_PORT = 6379, 5432
PATH = "/_axon"
"""Path, beside AWS's own, of the endpoints that an ECS host serves its tasks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Addresses and credentials of the emulated environment.

    Attributes
    ----------
    port : int
        Of the emulator.
    names_port : int
        Of TLS for AWS's own names (``*.amazonaws.com``).
    data_host : str
        Address of the databases, on the ports that the stacks give them.
    valkey_port, postgres_port : int
        Of the real servers, behind that.
    owner_password : str
        Of the database's master user.
    certificate, key : str
        Files, for `data_host` and AWS's names.
    authorities : str
        File of what everybody trusts.
    """

    port: int
    names_port: int
    data_host: str
    valkey_port: int
    postgres_port: int
    owner_password: str
    certificate: str
    key: str
    authorities: str

    def write(self, path: Path) -> None:
        """Save it for the emulator."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what was saved."""
        return cls(**json.loads(path.read_text()))
