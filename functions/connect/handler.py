"""``$connect``: registers the connection in the directory."""

import os
from typing import Any

from axon.adapters.valkey.client import create_valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.lambdas import Event, run
from axon.settings import ConnectionSettings
from axon.tenants.principal import Principal

SETTINGS = ConnectionSettings.from_environ(os.environ)
FLAGS = {"true": True, "1": True, "false": False, "0": False}
CONNECTIONS = ValkeyConnectionDirectory(valkey=create_valkey(SETTINGS))


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Accept the connection, unless its setting has a value that has no meaning."""
    request = event["requestContext"]
    principal = Principal.from_context(request["authorizer"])
    setting = _setting(event)
    if setting not in FLAGS:
        # The gateway refuses the handshake with this status. A setting that was ignored would be
        # noticed only by what a disconnect costs.
        return {"statusCode": 400}
    run(
        CONNECTIONS.register(
            request["connectionId"], principal=principal, cancel_on_disconnect=FLAGS[setting]
        )
    )
    return {"statusCode": 200}


def _setting(event: Event) -> str:
    """Return the value of `cancel_on_disconnect`: the query's, else the header's, else false."""
    query: dict[str, str] = event.get("queryStringParameters") or {}
    headers: dict[str, str] = event.get("headers") or {}
    named = {name.lower(): value for name, value in headers.items()}
    default = named.get("axon-cancel-on-disconnect", "false")
    return query.get("cancel_on_disconnect", default).strip().lower()
