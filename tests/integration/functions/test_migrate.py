import psycopg
import pytest

from local.services.postgres import Postgres
from tests.integration.functions.conftest import Functions


def test_migrate_creates_the_schema_once(
    functions: Functions,
    postgres_server: Postgres,
    postgres_admin: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    postgres_admin.execute("CREATE DATABASE migrate_test")
    migrate = functions.load("migrate", postgres_dsn=postgres_server.dsn("migrate_test"))
    first = migrate.handler({}, None)["applied"]
    assert first[0] == "0001_initial"
    assert migrate.handler({}, None) == {"applied": []}
    with psycopg.connect(postgres_server.dsn("migrate_test")) as connection:
        assert connection.execute("SELECT count(*) FROM responses").fetchall() == [(0,)]


def test_migrate_does_not_start_without_a_database(functions: Functions) -> None:
    with pytest.raises(Exception, match="AXON_POSTGRES_DSN"):
        functions.load("migrate")
