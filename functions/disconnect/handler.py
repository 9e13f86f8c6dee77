"""``$disconnect``: cancels what nobody waits for any more and forgets the connection."""

import os
from typing import Any

from axon.adapters.composition import ender, event_log, sqs_api
from axon.adapters.valkey import create_valkey
from axon.adapters.valkey_directories import ValkeyConnectionDirectory
from axon.lambdas import Event, run
from axon.settings import DisconnectSettings

SETTINGS = DisconnectSettings.from_environ(os.environ)
VALKEY = create_valkey(SETTINGS)
CONNECTIONS = ValkeyConnectionDirectory(valkey=VALKEY)
ENDER = ender(
    log=event_log(SETTINGS, valkey=VALKEY),
    history=sqs_api(SETTINGS.history_queue_url, region=SETTINGS.aws_region),
)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Let go of the connection."""
    run(_leave(event["requestContext"]["connectionId"]))
    return {"statusCode": 200}


async def _leave(connection_id: str) -> None:
    # First the connection: from here on nothing more is accepted for it.
    await CONNECTIONS.remove(connection_id)
    await ENDER.abandon(connection_id)
