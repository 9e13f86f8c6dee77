"""Request authorizer of ``$connect``: an API key in the Authorization header."""

import os
from typing import Any

from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.caches import ValkeyPrincipalCache
from axon.adapters.valkey.client import create_valkey
from axon.lambdas import Event, run
from axon.settings import AuthorizerSettings
from axon.tenants.api_keys import ApiKeys
from axon.tenants.principal import Principal

SETTINGS = AuthorizerSettings.from_environ(os.environ)
KEYS = ApiKeys(
    store=PostgresApiKeyStore(pool=create_pool(SETTINGS, max_size=1)),
    cache=ValkeyPrincipalCache(valkey=create_valkey(SETTINGS), ttl_s=SETTINGS.key_cache_s),
)


class Unauthorized(Exception):  # noqa: N818 API Gateway answers 401 to this very text
    """The key is missing or unknown."""


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Return a policy that allows the connection, with the key's principal as its context.

    Raises
    ------
    Unauthorized
        The key is missing, unknown or revoked.
    """
    scheme, _, secret = _authorization(event).partition(" ")
    principal = None
    if scheme.lower() == "bearer" and secret:
        principal = run(KEYS.authenticate(secret.strip()))
    if principal is None:
        raise Unauthorized("Unauthorized")
    return _policy(principal, event["methodArn"])


def _authorization(event: Event) -> str:
    headers: dict[str, str] = event.get("headers") or {}
    return next((v for name, v in headers.items() if name.lower() == "authorization"), "")


def _policy(principal: Principal, resource: str) -> dict[str, Any]:
    return {
        "principalId": principal.key_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resource}
            ],
        },
        "context": principal.to_context(),
    }
