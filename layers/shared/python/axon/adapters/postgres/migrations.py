"""Numbered migrations: each applied once, in order, without blocking the tables' users for long."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

from psycopg.errors import DeadlockDetected, LockNotAvailable

from axon.adapters.postgres.pool import Connection, Pool, session
from axon.exceptions import UnavailableError
from axon.retry import RetryPolicy

_LOCK = 0x61786F6E
"""Advisory lock ("axon"): two migrators at a time would apply a migration twice."""

NO_TRANSACTION = b"-- no transaction\n"
"""First line of a file whose statements are run one by one, each in a transaction of its own."""

_END = re.compile(rb";\s*\n\s*\n|;\s*\Z")
"""End of a statement in such a file: a blank line follows, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationLimits:
    """Limits of what migrations wait for.

    Parameters
    ----------
    lock_timeout_ms : int
        Longest wait for a table's lock. Sessions that ask for the table later wait behind the
        statement that waits, so this is also how long a migration can stop a table's users.
    attempts : int
        How often a migration is tried that did not get its locks.
    longest_pause_s : float
        Longest pause between two attempts, in seconds; meanwhile the table's users go on.
    build_timeout_ms : int
        Longest wait for a lock of a statement outside a transaction. ``CONCURRENTLY`` waits for
        transactions that began before it, and nobody waits behind it.
    turn_s : float
        Longest wait for another migrator, in seconds.
    """

    lock_timeout_ms: int = 2000
    attempts: int = 20
    longest_pause_s: float = 5.0
    build_timeout_ms: int = 120_000
    turn_s: float = 120.0


LIMITS = MigrationLimits()


async def migrate(pool: Pool, *, limits: MigrationLimits = LIMITS) -> list[str]:
    """Apply the migrations that are missing; return their names.

    Raises
    ------
    UnavailableError
        The database is away, or others held locks for too long. Finished migrations stay; none
        that has a transaction is half done, and the others can be repeated.
    """
    async with session(pool) as connection, _turn(connection, limits.turn_s):
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor = await connection.execute("SELECT name FROM schema_migrations")
        applied = {row["name"] for row in await cursor.fetchall()}
        missing = [(name, sql) for name, sql in _migrations() if name not in applied]
        for name, sql in missing:
            await _apply(connection, name, sql, limits)
        return [name for name, _ in missing]


@asynccontextmanager
async def _turn(connection: Connection, longest_s: float) -> AsyncIterator[None]:
    """Hold the lock of migrators.

    It is polled. A migrator that waited for it in a statement would be a transaction that an
    index build of the one before it (``CONCURRENTLY``) waits for, and neither would go on.
    """
    try:
        async with asyncio.timeout(longest_s):
            while not await _locked(connection):  # noqa: ASYNC110 - PostgreSQL notifies nobody
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise UnavailableError("another migrator has not ended in time") from error
    try:
        yield
    finally:
        if not connection.closed:  # the lock ends with its connection
            await connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


async def _locked(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s) AS locked", [_LOCK])
    row = await cursor.fetchone()
    return row is not None and bool(row["locked"])


async def _apply(connection: Connection, name: str, sql: bytes, limits: MigrationLimits) -> None:
    policy = RetryPolicy(
        errors=(LockNotAvailable, DeadlockDetected),
        max_attempts=limits.attempts,
        first_pause_s=min(0.2, limits.longest_pause_s),
        longest_pause_s=limits.longest_pause_s,
    )
    await policy.run(_step(connection, name, sql, limits))


def _step(
    connection: Connection, name: str, sql: bytes, limits: MigrationLimits
) -> Callable[[], Awaitable[None]]:
    done = "INSERT INTO schema_migrations (name) VALUES (%s)"

    async def at_once() -> None:
        async with connection.transaction():
            await connection.execute(_lock_timeout(limits.lock_timeout_ms, local=True))
            await connection.execute(sql)
            await connection.execute(done, [name])

    async def one_by_one() -> None:
        await connection.execute(_lock_timeout(limits.build_timeout_ms, local=False))
        for statement in _END.split(sql.removeprefix(NO_TRANSACTION)):
            if statement.strip():
                await connection.execute(statement)
        await connection.execute(done, [name])

    return one_by_one if sql.startswith(NO_TRANSACTION) else at_once


def _lock_timeout(milliseconds: int, *, local: bool) -> bytes:
    return f"SET {'LOCAL' if local else 'SESSION'} lock_timeout = {milliseconds}".encode()


def _migrations() -> list[tuple[str, bytes]]:
    folder = files("axon.adapters.postgres").joinpath("sql", "migrations")
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [
        (entry.name.removesuffix(".sql"), entry.read_bytes())
        for entry in sorted(found, key=lambda entry: entry.name)
    ]
