from types import ModuleType
from typing import Any

import pytest

from axon.lambdas import run
from tests.integration.functions.conftest import FunctionsHarness

ARN = "arn:aws:execute-api:us-east-1:000000000000:local/responses/$connect"


def event(**headers: str) -> dict[str, Any]:
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {},
        "requestContext": {"routeKey": "$connect", "connectionId": "c1"},
    }


@pytest.fixture
def authorizer(harness: FunctionsHarness) -> ModuleType:
    return harness.load("authorizer")


def new_key(authorizer: ModuleType) -> tuple[str, str]:
    key, secret = run(authorizer.KEYS.create(tenant_id="tenant-7", name="laptop"))
    return key.key_id, secret


def test_authorizer_allows_a_valid_key(authorizer: ModuleType) -> None:
    key_id, secret = new_key(authorizer)
    allowed = {
        "principalId": key_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": ARN}],
        },
        "context": {
            "tenant_id": "tenant-7",
            "key_id": key_id,
            "scopes": "responses:read responses:write",
        },
    }
    for header in ("Authorization", "authorization", "AUTHORIZATION"):
        for scheme in ("Bearer ", "bearer ", "Bearer  "):
            assert authorizer.handler(event(**{header: scheme + secret}), None) == allowed


def test_authorizer_refuses_an_invalid_key(authorizer: ModuleType) -> None:
    values = ("", "Bearer", "Bearer ", "Bearer sk-axon-wrong", "Bearer \x00", "sk-axon-wrong")
    for headers in ({}, {"X-Api-Key": "sk"}, *({"Authorization": value} for value in values)):
        with pytest.raises(authorizer.Unauthorized, match=r"^Unauthorized$"):
            authorizer.handler(event(**headers), None)


def test_authorizer_refuses_a_request_without_headers(authorizer: ModuleType) -> None:
    with pytest.raises(authorizer.Unauthorized):
        authorizer.handler(event() | {"headers": None}, None)


def test_authorizer_refuses_another_scheme(authorizer: ModuleType) -> None:
    _, secret = new_key(authorizer)
    with pytest.raises(authorizer.Unauthorized):
        authorizer.handler(event(Authorization=f"Basic {secret}"), None)


def test_authorizer_refuses_a_revoked_key_although_it_was_cached(authorizer: ModuleType) -> None:
    key_id, secret = new_key(authorizer)
    headers = {"Authorization": f"Bearer {secret}"}
    authorizer.handler(event(**headers), None)
    run(authorizer.KEYS.revoke(key_id))
    with pytest.raises(authorizer.Unauthorized):
        authorizer.handler(event(**headers), None)


def test_authorizer_needs_no_database_for_a_cached_key(
    harness: FunctionsHarness, authorizer: ModuleType
) -> None:
    _, secret = new_key(authorizer)
    headers = {"Authorization": f"Bearer {secret}"}
    authorizer.handler(event(**headers), None)
    other = harness.load("authorizer", postgres_dsn="postgresql://127.0.0.1:1/none")
    assert other.handler(event(**headers), None)["context"]["tenant_id"] == "tenant-7"
