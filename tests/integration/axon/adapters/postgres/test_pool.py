import psycopg
import pytest

from axon.adapters.postgres.pool import Pool, query, transaction
from axon.exceptions import UnavailableError


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


def test_query_reads_statements_from_files() -> None:
    assert b"INSERT INTO conversations" in query("write_conversation")
    with pytest.raises(FileNotFoundError):
        query("none")
