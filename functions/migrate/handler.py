"""Migrates the database's schema; invoked by a deployment, and by the local cloud."""

import os
from typing import Any

from axon.adapters.postgres.migrations import migrate
from axon.adapters.postgres.pool import create_pool
from axon.lambdas import Event, run
from axon.settings import PostgresSettings

SETTINGS = PostgresSettings.from_environ(os.environ)
POOL = create_pool(SETTINGS, max_size=1)


def handler(_event: Event, _context: object) -> dict[str, Any]:
    """Apply the missing migrations; return their names."""
    return {"applied": run(migrate(POOL))}
