"""Migration 0002: the role of functions and workers. All stores are tested as this role."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege

from axon.adapters.postgres import migrations
from axon.adapters.postgres.migrations import migrate
from local.services.postgres import Postgres
from tests.support.clients import postgres_pool

NUMBERS = count()
DATABASES = 6
ROUNDS = 50
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def app(app_dsn: str) -> Iterator[Connection]:
    with psycopg.connect(app_dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n int)",
        "DROP TABLE api_keys",
        "ALTER TABLE responses ADD COLUMN mine int",
        "CREATE INDEX mine ON responses (model)",
        "TRUNCATE responses",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "DELETE FROM responses",
        "DELETE FROM api_keys",
        "DELETE FROM wanted_models",
        "TRUNCATE wanted_models",
        "UPDATE api_keys SET tenant_id = 'another'",
        "UPDATE tenants SET tenant_id = 'another'",
        "UPDATE schema_migrations SET minimum_reader = 0",
        "DELETE FROM schema_migrations",
        "INSERT INTO schema_migrations VALUES ('9999_never')",
    ],
)
def test_application_role_may_not_change_the_schema_or_keys(
    app: Connection, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilege):
        app.execute(statement.encode())


def test_application_role_may_use_later_tables(app: Connection, postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as owner:
        owner.execute("CREATE TABLE later (id bigserial, n int)")
    app.execute("INSERT INTO later (n) VALUES (1)")
    app.execute("UPDATE later SET n = 2")
    assert app.execute("SELECT id, n FROM later").fetchall() == [(1, 2)]
    app.execute("DELETE FROM later")
    with pytest.raises(InsufficientPrivilege):
        app.execute("DROP TABLE later")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server on which `owner`, like RDS's master user, may make roles and is no superuser."""

    admin: Connection
    owner: str
    dsn: Callable[[str], str]

    def database(self) -> str:
        """Make a database of the owner's; return its name."""
        name = f"role_test_{next(NUMBERS)}"
        self.admin.execute(f"CREATE DATABASE {name} OWNER {self.owner}")
        return name

    def owners_dsn(self, database: str) -> str:
        return make_conninfo(self.dsn(database), user=self.owner, password="owner")

    def is_member(self, role: str, of: str) -> bool:
        row = self.admin.execute("SELECT pg_has_role(%s, %s, 'MEMBER')", [role, of]).fetchone()
        assert row is not None
        return bool(row[0])


@pytest.fixture
def server(postgres_server: Postgres, postgres_admin: Connection) -> Iterator[Server]:
    with ExitStack() as stack:

        def make(kind: str, name: str, options: str, drop: str = "") -> None:
            postgres_admin.execute(f"CREATE {kind} {name} {options}".encode())
            stack.callback(postgres_admin.execute, f"DROP {kind} {name} {drop}".encode())

        make("ROLE", "owner_test", "LOGIN CREATEROLE PASSWORD 'owner'")
        make("ROLE", "rds_iam", "")
        postgres_admin.execute("GRANT rds_iam TO owner_test WITH ADMIN OPTION")
        server = Server(admin=postgres_admin, owner="owner_test", dsn=postgres_server.dsn)
        yield server
        _drop_made_by(server)


def _drop_made_by(server: Server) -> None:
    databases = "SELECT datname FROM pg_database WHERE datname LIKE 'role\\_test\\_%'"
    for (name,) in server.admin.execute(databases.encode()).fetchall():
        server.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    roles = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'app\\_test\\_%'"
    for (name,) in server.admin.execute(roles.encode()).fetchall():
        server.admin.execute(f"DROP ROLE {name}")
    server.admin.execute("REVOKE rds_iam FROM axon_app")


def renamed(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a role that does not exist yet and that the migrations will create."""
    role = f"app_test_{next(NUMBERS)}"
    shipped = _SHIPPED()
    changed = [(name, text.replace(b"axon_app", role.encode())) for name, text in shipped]
    monkeypatch.setattr(migrations, "_migrations", lambda: changed)
    return role


_SHIPPED = migrations._migrations


async def test_application_role_is_created_by_an_owner_without_superuser(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = renamed(monkeypatch)
    async with postgres_pool(server.owners_dsn(server.database())) as pool:
        await migrate(pool)
    (found,) = server.admin.execute(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchall()
    assert found == (True, False, False, False)
    assert server.is_member(role, "rds_iam")


async def test_application_role_may_exist_already(server: Server) -> None:
    """As on a server with two environments."""
    for _ in range(2):
        async with postgres_pool(server.owners_dsn(server.database())) as pool:
            await migrate(pool)
    assert server.is_member("axon_app", "rds_iam")


@pytest.mark.parametrize("made_before", [False, True])
async def test_application_role_is_created_by_several_databases_at_once(
    server: Server, made_before: bool
) -> None:
    name, text = _SHIPPED()[1]
    assert name == "0002_application_role"
    block = text.partition(b"$$;")[0] + b"$$;"
    databases = [server.database() for _ in range(DATABASES)]
    connections = [
        await psycopg.AsyncConnection.connect(server.owners_dsn(database), autocommit=True)
        for database in databases
    ]
    try:
        for _ in range(ROUNDS):
            role = f"app_test_{next(NUMBERS)}"
            if made_before:
                await connections[0].execute(f"CREATE ROLE {role}".encode())
            statement = block.replace(b"axon_app", role.encode())
            await asyncio.gather(*(each.execute(statement) for each in connections))
            assert server.is_member(role, "rds_iam")
    finally:
        for each in connections:
            await each.close()
