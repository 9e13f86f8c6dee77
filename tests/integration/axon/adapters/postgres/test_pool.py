import asyncio

import psycopg
import pytest

from axon.adapters.postgres import pool as pool_module
from axon.adapters.postgres.pool import Pool, create_pool, query, transaction
from axon.exceptions import UnavailableError
from axon.settings import PostgresSettings
from local.ports import Ports
from tests.chaos.proxy import FaultProxy
from tests.support.eventually import eventually


async def test_transaction_is_atomic(pool: Pool) -> None:
    async with transaction(pool) as connection:
        await connection.execute("INSERT INTO tenants VALUES ('kept')")
    with pytest.raises(ValueError, match="no"):
        async with transaction(pool) as connection:
            await connection.execute("INSERT INTO tenants VALUES ('lost')")
            raise ValueError("no")
    async with transaction(pool) as connection:
        cursor = await connection.execute("SELECT tenant_id FROM tenants")
        assert await cursor.fetchall() == [{"tenant_id": "kept"}]


async def test_pool_replaces_broken_idle_connections(pool: Pool, postgres_dsn: str) -> None:
    async with transaction(pool) as connection:
        await connection.execute("SELECT 1")
    with psycopg.connect(postgres_dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    async with transaction(pool) as connection:
        await connection.execute("SELECT 1")


async def test_transaction_raises_unavailable_if_its_connection_breaks(pool: Pool) -> None:
    with pytest.raises(UnavailableError, match="PostgreSQL"):
        async with transaction(pool) as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_transaction_raises_unavailable_for_a_read_only_database(pool: Pool) -> None:
    with pytest.raises(UnavailableError, match="read-only"):
        async with transaction(pool) as connection:
            await connection.execute("SET TRANSACTION READ ONLY")
            await connection.execute("INSERT INTO tenants VALUES ('t')")


async def test_pool_prepares_no_statements(pool: Pool) -> None:
    for number in range(10):
        async with transaction(pool) as connection:
            await connection.execute("SELECT %s::int", [number])
            cursor = await connection.execute(
                "SELECT count(*) AS count FROM pg_prepared_statements"
            )
            assert await cursor.fetchall() == [{"count": 0}]


@pytest.mark.parametrize("keeps_connections", [True, False])
async def test_pool_keeps_connections_only_if_it_is_to(
    app_dsn: str, postgres_dsn: str, *, keeps_connections: bool
) -> None:
    """One that a frozen function keeps would stay open at the server for hours."""
    dsn = psycopg.conninfo.make_conninfo(app_dsn, application_name="counted")
    settings = PostgresSettings(postgres_dsn=dsn)

    def count() -> int:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted'"
        with psycopg.connect(postgres_dsn) as other:
            (number,) = other.execute(statement).fetchone() or (0,)
        return int(number)

    pool = create_pool(settings, max_size=1, keeps_connections=keeps_connections)
    try:
        for _ in range(2):
            async with transaction(pool) as connection:
                await connection.execute("SELECT 1")
                assert count() == 1
            await eventually(lambda: count() == keeps_connections)
    finally:
        await pool.close()


def test_query_reads_statements_from_files() -> None:
    assert b"INSERT INTO conversations" in query("write_conversations")
    with pytest.raises(FileNotFoundError):
        query("none")


@pytest.mark.parametrize("idle", [True, False])
async def test_transaction_waits_for_no_server_that_has_stopped(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, idle: bool
) -> None:
    """The connection stays open, and nothing is answered: not even a cancellation."""
    monkeypatch.setattr(pool_module, "CHECK_S", 0.2)
    monkeypatch.setattr(pool_module, "TRANSACTION_S", 0.5)
    parts = psycopg.conninfo.conninfo_to_dict(postgres_dsn)
    with Ports() as ports:
        proxy = FaultProxy(port=ports.reserve(), upstream_port=int(str(parts["port"])))
    await proxy.start()
    dsn = psycopg.conninfo.make_conninfo(postgres_dsn, host="127.0.0.1", port=proxy.port)
    pool = create_pool(PostgresSettings(postgres_dsn=dsn), max_size=1)
    try:
        async with transaction(pool) as connection:
            await connection.execute("SELECT 1")
        if idle:
            proxy.stall()
        with pytest.raises(UnavailableError, match="PostgreSQL"):
            async with asyncio.timeout(15), transaction(pool) as connection:
                proxy.stall()
                await connection.execute("SELECT 2")
        proxy.heal()
        async with asyncio.timeout(15), transaction(pool) as connection:
            await connection.execute("SELECT 3")
    finally:
        await pool.close()
        await proxy.close()
