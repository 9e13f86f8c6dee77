"""PostgreSQL: connections that survive a failover, and SQL from files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from axon.exceptions import UnavailableError

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]


def create_pool(dsn: str, *, max_size: int = 4) -> Pool:
    """Return a pool that opens with its first use and checks a connection before handing it out.

    After a failover the old writer answers read-only: ``target_session_attrs`` passes it by.
    """
    return AsyncConnectionPool(
        dsn,
        min_size=0,
        max_size=max_size,
        open=False,
        timeout=5,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            "row_factory": dict_row,
            "target_session_attrs": "read-write",
            "connect_timeout": 5,
        },
        check=AsyncConnectionPool.check_connection,
    )


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Run a transaction on a pooled connection.

    Raises
    ------
    UnavailableError : the database is away or read-only; the transaction did not happen, or, when
        the connection broke while it was committed, may have: callers repeat only what is
        idempotent.
    """
    await pool.open()
    try:
        async with pool.connection() as connection:
            yield connection
    except (OperationalError, PoolTimeout, ReadOnlySqlTransaction) as error:
        raise UnavailableError(f"PostgreSQL: {error}") from error


@cache
def query(name: str) -> bytes:
    """Return ``axon/sql/<name>.sql``."""
    return files("axon").joinpath("sql", f"{name}.sql").read_bytes()
