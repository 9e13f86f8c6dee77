"""``$connect``: registers the connection in the directory."""

import os
from typing import Any

from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.lambdas import Event, run
from axon.settings import ConnectionSettings
from axon.tenants.principal import Principal

SETTINGS = ConnectionSettings.from_environ(os.environ)
CONNECTIONS = ValkeyConnectionDirectory(valkey=create_valkey(SETTINGS))


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Accept the connection."""
    request = event["requestContext"]
    principal = Principal.from_context(request["authorizer"])
    run(CONNECTIONS.register(request["connectionId"], principal=principal))
    return {"statusCode": 200}
