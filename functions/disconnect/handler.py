"""``$disconnect``: removes the connection; its responses can be resumed for a limited time."""

import os
from typing import Any

from axon.adapters.composition import event_log
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.lambdas import Event, run
from axon.settings import DisconnectSettings
from axon.tenants.principal import Principal

SETTINGS = DisconnectSettings.from_environ(os.environ)
VALKEY = create_valkey(SETTINGS)
CONNECTIONS = ValkeyConnectionDirectory(valkey=VALKEY)
OPEN_CONNECTIONS = ValkeyOpenConnections(valkey=VALKEY)
LOG = event_log(SETTINGS, valkey=VALKEY)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Mark the connection as gone and its running responses as abandoned."""
    request = event["requestContext"]
    principal = Principal.from_context(request["authorizer"])
    run(_leave(request["connectionId"], principal))
    return {"statusCode": 200}


async def _leave(connection_id: str, principal: Principal) -> None:
    # In this order: once the connection is marked as gone, no request is accepted for it any more,
    # so none can be missed by `abandon`.
    await CONNECTIONS.remove(connection_id)
    await LOG.abandon(connection_id)
    await OPEN_CONNECTIONS.remove(principal.key_id, connection_id)
