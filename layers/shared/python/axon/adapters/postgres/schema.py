"""The version of the database's schema: checked by code before it uses the schema."""

from functools import cache
from importlib.resources import files
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable

from axon.exceptions import UnavailableError

NEEDED = 9
"""Number of the last migration that this version's statements rely on.

Raised by the release after the one that brings the migration, if that one must still run on the
schema before it. A deployment migrates first, so code meets an older schema only by mistake.
"""

_APPLIED = """
SELECT coalesce(max(left(name, 4)::integer), 0) AS applied,
       coalesce(max(minimum_reader), 0) AS minimum_reader
FROM schema_migrations
"""


class SchemaError(UnavailableError):
    """The schema is too old for this code, or this code too old for the schema.

    A retry succeeds once the schema has been migrated, or this process has been replaced.
    """


@cache
def known() -> int:
    """Return the number of the newest migration that this version brings."""
    folder = files("axon.adapters.postgres").joinpath("sql", "migrations")
    return max(int(entry.name[:4]) for entry in folder.iterdir() if entry.name.endswith(".sql"))


async def check_schema(connection: AsyncConnection[Any]) -> None:
    """Check that this code and the schema go together.

    Raises
    ------
    SchemaError
        They do not; the message names the remedy.
    """
    try:
        row = await (await connection.execute(_APPLIED)).fetchone()
    except (UndefinedTable, UndefinedColumn, InsufficientPrivilege) as error:
        raise SchemaError(_too_old("below 5")) from error
    if row is None:  # an aggregate always gives a row
        raise SchemaError(_too_old("below 5"))
    applied, minimum_reader = row["applied"], row["minimum_reader"]
    if applied < NEEDED:
        raise SchemaError(_too_old(str(applied)))
    if minimum_reader > known():
        raise SchemaError(
            f"the schema needs code that knows migration {minimum_reader}, and this code knows "
            f"migrations up to {known()}; deploy a later version"
        )


def _too_old(applied: str) -> str:
    needs = f"and this code needs {NEEDED}; run the function migrate"
    return f"the schema is at migration {applied}, {needs}"
