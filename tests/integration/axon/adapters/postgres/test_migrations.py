import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest

from axon.adapters.postgres import migrations
from axon.adapters.postgres.migrations import migrate
from axon.exceptions import UnavailableError
from tests.support.clients import postgres_pool

ALL = [name for name, _ in migrations._migrations()]


def names(dsn: str, query: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute(query.encode()).fetchall()}


def tables(dsn: str) -> set[str]:
    return names(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def test_migrations_are_numbered_in_order() -> None:
    assert ALL
    assert [int(name[:4]) for name in ALL] == list(range(1, len(ALL) + 1))


async def test_migrate_applies_each_migration_once(empty_postgres_dsn: str) -> None:
    async with postgres_pool(empty_postgres_dsn) as pool:
        assert await migrate(pool) == ALL
        assert await migrate(pool) == []
    assert {"tenants", "api_keys", "conversations", "responses", "wanted_models"} <= tables(
        empty_postgres_dsn
    )
    assert names(empty_postgres_dsn, "SELECT name FROM schema_migrations") == set(ALL)


async def test_migrate_applies_each_migration_once_from_many_processes(
    empty_postgres_dsn: str,
) -> None:
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(postgres_pool(empty_postgres_dsn)) for _ in range(8)
        ]
        applied = await asyncio.gather(*map(migrate, pools))
    assert sorted(name for names in applied for name in names) == ALL


async def test_migrate_rolls_a_failed_migration_back(
    empty_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = ("0001_good", b"CREATE TABLE good (n int)")
    half = ("0002_half", b"CREATE TABLE half (n int); CREATE TABLE half (n int)")
    monkeypatch.setattr(migrations, "_migrations", lambda: [good, half])
    async with postgres_pool(empty_postgres_dsn) as pool:
        with pytest.raises(psycopg.errors.DuplicateTable):
            await migrate(pool)
        assert tables(empty_postgres_dsn) == {"schema_migrations", "good"}
        whole = ("0002_half", b"CREATE TABLE half (n int)")
        monkeypatch.setattr(migrations, "_migrations", lambda: [good, whole])
        assert await migrate(pool) == ["0002_half"]


async def test_migrate_raises_unavailable_without_a_database() -> None:
    async with postgres_pool("postgresql://127.0.0.1:1/none") as pool:
        pool.timeout = 0.2
        with pytest.raises(UnavailableError):
            await migrate(pool)
