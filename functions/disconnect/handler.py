"""``$disconnect``: forgets the connection; what it waits for may be resumed for a while."""

import os
from typing import Any

from axon.adapters.composition import event_log
from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.lambdas import Event, run
from axon.settings import DisconnectSettings

SETTINGS = DisconnectSettings.from_environ(os.environ)
VALKEY = create_valkey(SETTINGS)
CONNECTIONS = ValkeyConnectionDirectory(valkey=VALKEY)
LOG = event_log(SETTINGS, valkey=VALKEY)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Let go of the connection."""
    run(_leave(event["requestContext"]["connectionId"]))
    return {"statusCode": 200}


async def _leave(connection_id: str) -> None:
    # First the connection: from here on nothing more is accepted for it.
    await CONNECTIONS.remove(connection_id)
    await LOG.abandon(connection_id)
