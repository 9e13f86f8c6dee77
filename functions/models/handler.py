"""Lists, loads, swaps and unloads models; invoked by ``axon models``."""

import os
from typing import Any

from axon.adapters.observability.function_logs import function_logger
from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.stores import PostgresDesiredModels
from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyModelChanges, ValkeyModelDirectory
from axon.adapters.valkey.workers import ValkeyWorkerDirectory
from axon.lambdas import Event, run
from axon.models.admin import ModelAdmin
from axon.models.commands import answer
from axon.settings import ModelsSettings
from axon.upstream_hosts import UpstreamHosts

logger = function_logger("models")
SETTINGS = ModelsSettings.from_environ(os.environ)
VALKEY = create_valkey(SETTINGS)
ADMIN = ModelAdmin(
    desired=PostgresDesiredModels(pool=create_pool(SETTINGS, max_size=1)),
    changes=ValkeyModelChanges(valkey=VALKEY),
    workers=ValkeyWorkerDirectory(valkey=VALKEY),
    directory=ValkeyModelDirectory(valkey=VALKEY),
    retention_s=SETTINGS.model_retention_s,
    deployment=SETTINGS.models,
    hosts=UpstreamHosts(SETTINGS.upstream_hosts, own_url=SETTINGS.upstream_url),
)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Run a command, and log what it changed; see `axon.models.commands`."""
    answered = run(answer(event, admin=ADMIN))
    noted = ("model", "told", "error")
    logger.info("answered", extra={name: answered.get(name) for name in noted})
    return answered
