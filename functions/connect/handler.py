"""``$connect``: registers the connection in the directory."""

import asyncio
import os
from typing import Any

from axon.adapters.observability.function_logs import function_logger
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.exceptions import StoreFullError, UnavailableError
from axon.lambdas import Event, run
from axon.settings import ConnectionSettings
from axon.tenants.principal import REFUSED, Principal
from axon.tenants.revocation import KeyState

REGISTERING_S = 2.0
"""Time limit in seconds for Valkey."""

logger = function_logger("connect")
SETTINGS = ConnectionSettings.from_environ(os.environ)
FLAGS = {"true": True, "1": True, "false": False, "0": False}
VALKEY = create_valkey(SETTINGS)
CONNECTIONS = ValkeyConnectionDirectory(valkey=VALKEY)
OPEN_CONNECTIONS = ValkeyOpenConnections(valkey=VALKEY)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Accept the connection, or have the gateway refuse the handshake with a status.

    400: its setting has a value that has no meaning; 401: its key is revoked; 429: its address
    tries too many wrong keys. While Valkey is away it is accepted, without its setting: the
    client's requests are refused as those of other clients are, until Valkey is back. 503: Valkey
    has no memory for it.
    """
    request = event["requestContext"]
    if status := request["authorizer"].get(REFUSED):
        return {"statusCode": int(status)}
    setting = _setting(event)
    if setting not in FLAGS:
        # A setting that was ignored would be noticed only by what a disconnect costs.
        return {"statusCode": 400}
    principal = Principal.from_context(request["authorizer"])
    try:
        state = run(_register(request["connectionId"], principal, FLAGS[setting]))
    except StoreFullError as error:
        logger.warning("the connection is refused: %s", error)
        return {"statusCode": 503}
    except (UnavailableError, TimeoutError) as error:
        logger.warning("the connection is not registered: %r", error)
        return {"statusCode": 200}
    return {"statusCode": 401 if state is KeyState.REVOKED else 200}


async def _register(
    connection_id: str, principal: Principal, cancel_on_disconnect: bool
) -> KeyState:
    async with asyncio.timeout(REGISTERING_S):
        # In this order: without memory the registration is refused, but a note is not. Noted before
        # it, a client that connects again and again would fill Valkey with refused connections.
        await CONNECTIONS.register(
            connection_id, principal=principal, cancel_on_disconnect=cancel_on_disconnect
        )
        return await OPEN_CONNECTIONS.note(principal.key_id, connection_id)


def _setting(event: Event) -> str:
    """Return the value of `cancel_on_disconnect`: the query's, else the header's, else false."""
    query: dict[str, str] = event.get("queryStringParameters") or {}
    headers: dict[str, str] = event.get("headers") or {}
    named = {name.lower(): value for name, value in headers.items()}
    default = named.get("axon-cancel-on-disconnect", "false")
    return query.get("cancel_on_disconnect", default).strip().lower()
