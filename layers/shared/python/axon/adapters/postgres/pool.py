"""PostgreSQL: connections that survive a failover, and SQL from files."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any
from weakref import WeakSet

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import ReadOnlySqlTransaction, UndefinedColumn, UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, PoolTimeout

from axon.adapters.postgres.login import login_of
from axon.adapters.postgres.schema import check_schema
from axon.exceptions import UnavailableError
from axon.settings import PostgresSettings

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]


CHECK_S = 3.0
"""Seconds that a pooled connection may take to answer before it is replaced by another one."""
TRANSACTION_S = 30.0
"""Seconds that a transaction may take. The slowest, a batch of the history, takes less than 1."""
MIGRATION_S = 3600.0

logger = logging.getLogger(__name__)

_OPTIONS: dict[str, Any] = {
    "row_factory": dict_row,
    # After a failover the old writer answers read-only: this passes it by.
    "target_session_attrs": "read-write",
    "connect_timeout": 5,
    # A statement prepared on the server would pin the connection behind RDS Proxy.
    "prepare_threshold": None,
}


def create_pool(
    settings: PostgresSettings, *, max_size: int = 4, keeps_connections: bool = True
) -> Pool:
    """Return a pool that opens with its first use and checks a connection before handing it out.

    Each new connection logs in with credentials of that moment.

    Parameters
    ----------
    settings : PostgresSettings
        The database, and how to log in.
    max_size : int
        Most connections at a time.
    keeps_connections : bool
        False for a process whose many copies use the database rarely, or may be frozen: each
        transaction then has a connection of its own, which is closed after it.

    Raises
    ------
    SettingsError
        The settings do not say how to log in.
    """
    login = login_of(settings)

    async def options() -> dict[str, Any]:
        return _OPTIONS | await login()

    kind = AsyncConnectionPool if keeps_connections else AsyncNullConnectionPool
    return kind(
        settings.postgres_dsn,
        min_size=0,
        max_size=max_size,
        open=False,
        timeout=5,
        connection_class=AsyncConnection[DictRow],
        kwargs=options,
        check=_check,
    )


async def _check(connection: Connection) -> None:
    with _limited(connection, CHECK_S):
        await AsyncConnectionPool.check_connection(connection)


@contextmanager
def _limited(connection: Connection, seconds: float) -> Iterator[None]:
    """Break a connection that is still in use after this time.

    A server that is stopped keeps its connections open and answers nothing. To cancel what waits
    for it is not enough: psycopg then asks the server to cancel the statement, and waits for the
    answer to that. A statement on a broken connection fails at once.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _break, connection)
    try:
        yield
    finally:
        timer.cancel()


def _break(connection: Connection) -> None:
    logger.warning("PostgreSQL does not answer: breaking a connection")
    # A copy of the descriptor: the driver closes its own.
    with (
        suppress(OSError, OperationalError),
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)


_CHECKED: WeakSet[Pool] = WeakSet()
"""Pools whose schema goes together with this code, as far as is known."""


@asynccontextmanager
async def transaction(pool: Pool, *, any_schema: bool = False) -> AsyncIterator[Connection]:
    """Run a transaction on a pooled connection.

    Parameters
    ----------
    pool : Pool
        Gives the connection.
    any_schema : bool
        True for migrations, which make the schema that other callers need.

    Raises
    ------
    SchemaError
        The schema and this code do not go together; checked with a pool's first transaction.
    UnavailableError
        The database is away or read-only; the transaction did not happen, or, when the connection
        broke while it was committed, may have: callers repeat only what is idempotent.
    """
    await pool.open()
    try:
        async with pool.connection() as connection:
            with _limited(connection, MIGRATION_S if any_schema else TRANSACTION_S):
                if not any_schema and pool not in _CHECKED:
                    await check_schema(connection)
                    _CHECKED.add(pool)
                yield connection
    except (UndefinedTable, UndefinedColumn):
        # A later migration has taken something away: the next transaction says so clearly.
        _CHECKED.discard(pool)
        raise
    except (OperationalError, PoolTimeout, ReadOnlySqlTransaction) as error:
        raise UnavailableError(f"PostgreSQL: {error}") from error


@asynccontextmanager
async def session(pool: Pool) -> AsyncIterator[Connection]:
    """Give a pooled connection on which each statement is a transaction of its own.

    Its settings last to the end of the block.

    Raises
    ------
    UnavailableError
        As `transaction`.
    """
    await pool.open()
    try:
        async with pool.connection() as connection:
            await connection.set_autocommit(True)
            try:
                yield connection
            finally:
                if not connection.closed:
                    await connection.execute("RESET ALL")
                    await connection.set_autocommit(False)
    except (OperationalError, PoolTimeout, ReadOnlySqlTransaction) as error:
        raise UnavailableError(f"PostgreSQL: {error}") from error


@cache
def query(name: str) -> bytes:
    """Return ``axon/sql/<name>.sql``."""
    return files("axon.adapters.postgres").joinpath("sql", f"{name}.sql").read_bytes()
