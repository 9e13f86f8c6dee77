"""Creates, lists and revokes API keys, and sets tenants' retention; invoked by ``axon keys``."""

import os
from typing import Any

from axon.adapters.api_keys import api_keys
from axon.adapters.observability.function_logs import function_logger
from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.retention import PostgresRetention
from axon.adapters.valkey.client import create_valkey
from axon.lambdas import Event, run
from axon.settings import KeysSettings
from axon.tenants.commands import answer

logger = function_logger("keys")
SETTINGS = KeysSettings.from_environ(os.environ)
POOL = create_pool(SETTINGS, max_size=1)
RETENTION = PostgresRetention(pool=POOL)
KEYS = api_keys(valkey=create_valkey(SETTINGS), pool=POOL)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Run a command, and log which key it created or revoked; see `axon.tenants.commands`."""
    answered = run(answer(event, keys=KEYS, retention=RETENTION))
    noted = ("key", "revoked", "open_connections", "tenant_id", "days", "error")
    logger.info("answered", extra={name: answered.get(name) for name in noted})
    return answered
