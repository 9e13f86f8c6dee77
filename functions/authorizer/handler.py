"""Request authorizer of ``$connect``: an API key in the Authorization header."""

import os
from typing import Any

from axon.adapters.api_keys import api_keys
from axon.adapters.postgres.pool import create_pool
from axon.adapters.valkey.client import create_valkey
from axon.exceptions import WrongKeysError
from axon.lambdas import Event, run
from axon.settings import AuthorizerSettings
from axon.tenants.principal import REFUSED
from axon.tenants.wrong_keys import subscriber_of

SETTINGS = AuthorizerSettings.from_environ(os.environ)
KEYS = api_keys(
    valkey=create_valkey(SETTINGS),
    pool=create_pool(SETTINGS, max_size=1),
    stale_s=SETTINGS.key_cache_s,
)


class Unauthorized(Exception):  # noqa: N818 API Gateway answers 401 to this very text
    """The key is missing or unknown."""


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Return a policy that allows the connection, with the key's principal as its context.

    An authorizer can answer 401, 403 or 500 only. Where an address has tried too many wrong keys,
    it lets the connection through to `functions/connect`, without a principal, to be refused there.

    Raises
    ------
    Unauthorized
        The key is missing, unknown or revoked.
    """
    scheme, _, secret = _authorization(event).partition(" ")
    principal = None
    if scheme.lower() == "bearer" and secret:
        try:
            principal = run(KEYS.authenticate(secret.strip(), address=_address(event)))
        except WrongKeysError:
            return _policy("unknown", event["methodArn"], context={REFUSED: "429"})
    if principal is None:
        raise Unauthorized("Unauthorized")
    return _policy(principal.key_id, event["methodArn"], context=principal.to_context())


def _authorization(event: Event) -> str:
    headers: dict[str, str] = event.get("headers") or {}
    return next((v for name, v in headers.items() if name.lower() == "authorization"), "")


def _address(event: Event) -> str | None:
    identity: dict[str, str] = event["requestContext"].get("identity") or {}
    return subscriber_of(identity.get("sourceIp", ""))


def _policy(principal_id: str, resource: str, *, context: dict[str, str]) -> dict[str, Any]:
    return {
        "principalId": principal_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resource}
            ],
        },
        "context": context,
    }
