"""Creates, lists and revokes API keys, and sets tenants' retention; invoked by ``axon keys``."""

import os
from typing import Any

from aws_lambda_powertools import Logger

from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.retention import PostgresRetention
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.api_keys import ValkeyOpenConnections, ValkeyWrongKeys
from axon.adapters.valkey.caches import ValkeyPrincipalCache
from axon.adapters.valkey.client import create_valkey
from axon.lambdas import Event, run
from axon.settings import KeysSettings
from axon.tenants.api_keys import ApiKeys
from axon.tenants.commands import answer

logger = Logger(service="keys")
SETTINGS = KeysSettings.from_environ(os.environ)
POOL = create_pool(SETTINGS, max_size=1)
RETENTION = PostgresRetention(pool=POOL)
VALKEY = create_valkey(SETTINGS)
KEYS = ApiKeys(
    store=PostgresApiKeyStore(pool=POOL),
    cache=ValkeyPrincipalCache(valkey=VALKEY),
    wrong_keys=ValkeyWrongKeys(valkey=VALKEY),
    connections=ValkeyOpenConnections(valkey=VALKEY),
)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Run a command, and log which key it created or revoked; see `axon.tenants.commands`."""
    answered = run(answer(event, keys=KEYS, retention=RETENTION))
    noted = ("key", "revoked", "open_connections", "tenant_id", "days", "error")
    logger.info("answered", extra={name: answered.get(name) for name in noted})
    return answered
