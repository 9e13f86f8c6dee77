"""Makes, lists and revokes API keys; invoked by ``axon keys``."""

import os
from typing import Any

from aws_lambda_powertools import Logger

from axon.adapters.postgres import create_pool
from axon.adapters.postgres_stores import PostgresApiKeyStore
from axon.adapters.valkey import create_valkey
from axon.adapters.valkey_caches import ValkeyIdentityCache
from axon.key_commands import answer
from axon.lambdas import Event, run
from axon.settings import KeysSettings
from axon.tenants import ApiKeys

LOGGER = Logger(service="keys")
SETTINGS = KeysSettings.from_environ(os.environ)
KEYS = ApiKeys(
    store=PostgresApiKeyStore(pool=create_pool(SETTINGS, max_size=1)),
    cache=ValkeyIdentityCache(valkey=create_valkey(SETTINGS), ttl_s=1),  # only takes keys out
)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Do what the event asks, and note who got or lost a key; see `axon.key_commands`."""
    answered = run(answer(event, keys=KEYS))
    noted = ("key", "revoked", "error")
    LOGGER.info("answered", extra={name: answered.get(name) for name in noted})
    return answered
