"""Numbered migrations: each applied once, in order, in a transaction of its own."""

from importlib.resources import files

from axon.adapters.postgres.pool import Pool, transaction

_LOCK = 0x61786F6E
"""Advisory lock ("axon"): two migrators at a time would apply a migration twice."""


async def migrate(pool: Pool) -> list[str]:
    """Apply the migrations that are missing; return their names.

    Raises
    ------
    UnavailableError
        The database is away; finished migrations stay, none is half done.
    """
    async with transaction(pool, any_schema=True) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    return [name for name, sql in _migrations() if await _apply(pool, name, sql)]


async def _apply(pool: Pool, name: str, sql: bytes) -> bool:
    async with transaction(pool, any_schema=True) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor = await connection.execute(
            "INSERT INTO schema_migrations (name) VALUES (%s) ON CONFLICT DO NOTHING", [name]
        )
        if cursor.rowcount == 0:
            return False
        await connection.execute(sql)
        return True


def _migrations() -> list[tuple[str, bytes]]:
    folder = files("axon.adapters.postgres").joinpath("sql", "migrations")
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [
        (entry.name.removesuffix(".sql"), entry.read_bytes())
        for entry in sorted(found, key=lambda entry: entry.name)
    ]
