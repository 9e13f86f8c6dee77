"""The real servers behind the doors, PostgreSQL set up as RDS sets it up."""

from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from local.services.postgres import Postgres
from local.services.valkey import Valkey
from local.supervision.program import Program

OWNER = "axon_owner"
DATABASE = "axon"

# The first line that fits counts. RDS looks at the role alike: who has it needs a token, which is
# the door's to check; nobody else gets in without a password.
LOGINS = f"""
host all {OWNER} 127.0.0.1/32 scram-sha-256
host all +rds_iam 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""

# The master user of RDS is no superuser, but may give the role to others.
ROLES = """
CREATE ROLE rds_iam;
CREATE ROLE rds_superuser CREATEDB CREATEROLE;
GRANT rds_iam TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
CREATE ROLE axon_owner LOGIN CREATEDB CREATEROLE PASSWORD '{password}';
GRANT rds_superuser TO axon_owner;
ALTER DATABASE axon OWNER TO axon_owner;
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Servers:
    """Valkey and PostgreSQL, both on 127.0.0.1 and without TLS."""

    valkey: Valkey
    postgres: Postgres

    @classmethod
    def at(cls, folder: Path, *, valkey_port: int, postgres_port: int) -> "Servers":
        return cls(
            valkey=Valkey(port=valkey_port, folder=folder / "valkey", persistent=False),
            postgres=Postgres(port=postgres_port, folder=folder / "postgres", persistent=False),
        )

    def programs(self) -> list[Program]:
        """Return the programs that run them."""
        postgres = self.postgres.program()

        def prepare() -> None:
            postgres.prepare()
            (self.postgres.data / "pg_hba.conf").write_text(LOGINS)

        return [self.valkey.program(), replace(postgres, prepare=prepare)]

    def set_up(self, *, owner_password: str) -> None:
        """Make the roles that a new instance of RDS has."""
        with self.administrator() as connection:
            connection.execute(ROLES.format(password=owner_password).encode())

    def administrator(self) -> psycopg.Connection[tuple[object, ...]]:
        """Connect as a superuser, past the door."""
        return psycopg.connect(self.postgres.dsn(DATABASE), autocommit=True)
