"""Code checks the schema before it uses it: in both directions of a deployment."""

import re
from importlib.resources import files

import psycopg
import pytest

from axon.adapters.postgres import migrations, schema
from axon.adapters.postgres.migrations import migrate
from axon.adapters.postgres.pool import transaction
from axon.adapters.postgres.stores import PostgresDesiredModels
from axon.exceptions import UnavailableError
from tests.support.clients import postgres_pool

CONTRACTS = re.compile(rb"\bDROP (TABLE|COLUMN)|\bRENAME\b|\bSET NOT NULL|\bTYPE\b", re.IGNORECASE)
RELEASED = {"0001_initial", "0002_application_role", "0003_wanted_models", "0004_principals"}
"""Migrations from before there was a minimum reader."""


def test_needed_migration_is_one_that_this_version_brings() -> None:
    assert 0 < schema.NEEDED <= schema.known() == len(migrations._migrations())


def test_migrations_that_take_something_away_name_their_minimum_reader() -> None:
    for name, sql in migrations._migrations():
        statements = re.sub(rb"--[^\n]*", b"", sql)
        if name not in RELEASED and CONTRACTS.search(statements):
            assert b"minimum_reader" in statements, name


async def test_code_refuses_a_schema_that_is_too_old(
    empty_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations._migrations()
    async with postgres_pool(empty_postgres_dsn) as pool:
        models = PostgresDesiredModels(pool=pool)
        with pytest.raises(schema.SchemaError, match="at migration below 5"):
            await models.list()
        monkeypatch.setattr(migrations, "_migrations", lambda: every[: schema.NEEDED - 1])
        await migrate(pool)
        with pytest.raises(schema.SchemaError, match="run the function migrate"):
            await models.list()
        monkeypatch.setattr(migrations, "_migrations", lambda: every)
        await migrate(pool)
        assert await models.list() == []


async def test_code_refuses_a_schema_that_needs_later_code(app_dsn: str, postgres_dsn: str) -> None:
    async with postgres_pool(app_dsn) as pool, postgres_pool(app_dsn) as before:
        assert await PostgresDesiredModels(pool=before).list() == []
        later = schema.known() + 1
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            admin.execute("ALTER TABLE wanted_models RENAME TO desired_models")
            admin.execute(
                "INSERT INTO schema_migrations (name, minimum_reader) VALUES (%s, %s)",
                [f"{later:04}_contract", later],
            )
        with pytest.raises(UnavailableError, match=f"needs code that knows migration {later}"):
            await PostgresDesiredModels(pool=pool).list()
        # A process that has used the schema before meets the change first, and then says why.
        with pytest.raises(psycopg.errors.UndefinedTable):
            await PostgresDesiredModels(pool=before).list()
        with pytest.raises(UnavailableError, match="deploy a later version"):
            await PostgresDesiredModels(pool=before).list()


async def test_code_uses_a_schema_with_later_migrations_that_only_add(
    app_dsn: str, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute("INSERT INTO schema_migrations (name) VALUES ('9999_expand')")
    async with postgres_pool(app_dsn) as pool, transaction(pool) as connection:
        assert await (await connection.execute("SELECT 1 AS one")).fetchone() == {"one": 1}


def test_schema_module_counts_migrations_by_their_files() -> None:
    folder = files("axon.adapters.postgres").joinpath("sql", "migrations")
    assert schema.known() == max(int(entry.name[:4]) for entry in folder.iterdir())
