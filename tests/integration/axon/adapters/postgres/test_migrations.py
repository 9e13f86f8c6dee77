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


QUICK = migrations.MigrationLimits(lock_timeout_ms=50, attempts=1000, longest_pause_s=0.02)
"""Limits of tests, in which others hold locks for parts of a second."""


async def user(dsn: str, *statements: str) -> "psycopg.AsyncConnection[tuple[object, ...]]":
    """Return a session in whose transaction the statements have run."""
    connection = await psycopg.AsyncConnection.connect(dsn)
    for statement in statements:
        await connection.execute(statement.encode())
    return connection


async def test_migrate_stops_no_reader_while_it_waits_for_a_long_one(
    empty_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `lock_timeout` the second reader would wait behind the waiting migration."""
    dsn = empty_postgres_dsn
    table = ("0001_table", b"CREATE TABLE used (n int)")
    change = ("0002_change", b"ALTER TABLE used ADD COLUMN more int")
    monkeypatch.setattr(migrations, "_migrations", lambda: [table])
    async with postgres_pool(dsn) as pool, AsyncExitStack() as stack:
        await migrate(pool)
        monkeypatch.setattr(migrations, "_migrations", lambda: [table, change])
        long = await user(dsn, "SELECT * FROM used")
        stack.push_async_callback(long.close)
        migrating = asyncio.create_task(migrate(pool, limits=QUICK))
        await blocked(dsn, stack)
        for _ in range(3):
            async with await user(dsn, "SET statement_timeout = '5s'", "SELECT * FROM used"):
                pass
        assert not migrating.done()
        await long.rollback()
        assert await asyncio.wait_for(migrating, 20) == ["0002_change"]


async def test_migrate_gives_up_when_a_table_stays_locked(
    empty_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = empty_postgres_dsn
    table = ("0001_table", b"CREATE TABLE used (n int)")
    half = ("0002_half", b"CREATE TABLE half (n int); ALTER TABLE used ADD COLUMN more int")
    monkeypatch.setattr(migrations, "_migrations", lambda: [table])
    async with postgres_pool(dsn) as pool:
        await migrate(pool)
        monkeypatch.setattr(migrations, "_migrations", lambda: [table, half])
        async with await user(dsn, "SELECT * FROM used"):
            limits = migrations.MigrationLimits(
                lock_timeout_ms=20, attempts=3, longest_pause_s=0.01
            )
            with pytest.raises(UnavailableError, match="lock timeout"):
                await migrate(pool, limits=limits)
        assert tables(dsn) == {"schema_migrations", "used"}


async def test_migrate_builds_an_index_while_others_write(
    empty_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = empty_postgres_dsn
    table = ("0001_table", b"CREATE TABLE used (n int)")
    index = (
        "0002_index",
        b"""-- no transaction
-- Why; and how.
DROP INDEX CONCURRENTLY IF EXISTS used_by_n;

CREATE INDEX CONCURRENTLY used_by_n ON used (n);
""",
    )
    monkeypatch.setattr(migrations, "_migrations", lambda: [table])
    async with postgres_pool(dsn) as pool, AsyncExitStack() as stack:
        await migrate(pool)
        monkeypatch.setattr(migrations, "_migrations", lambda: [table, index])
        writer = await user(dsn, "INSERT INTO used VALUES (1)")
        stack.push_async_callback(writer.close)
        migrating = asyncio.create_task(migrate(pool))
        await blocked(dsn, stack)
        async with await user(
            dsn, "SET statement_timeout = '5s'", "INSERT INTO used VALUES (2)"
        ) as other:
            await other.commit()
        assert not migrating.done()
        await writer.commit()
        assert await asyncio.wait_for(migrating, 20) == ["0002_index"]
        # As a process leaves it that dies during the build, before it notes the migration.
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
            await admin.execute("UPDATE pg_index SET indisvalid = false "
                                "WHERE indexrelid = 'used_by_n'::regclass")  # fmt: skip
            await admin.execute("DELETE FROM schema_migrations WHERE name = '0002_index'")
        assert await migrate(pool) == ["0002_index"]
    valid = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indisvalid"
    assert "used_by_n" in names(dsn, valid)


async def blocked(dsn: str, stack: AsyncExitStack) -> None:
    """Wait until a session of this database has waited for another's lock."""
    watcher = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    stack.push_async_callback(watcher.close)
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    async with asyncio.timeout(20):
        while True:
            row = await (await watcher.execute(query)).fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(0.005)
