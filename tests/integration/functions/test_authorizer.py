import json
from types import ModuleType
from typing import Any

import pytest

from axon.lambdas import run
from axon.tenants import api_keys
from axon.tenants.api_keys import hash_key
from axon.tenants.wrong_keys import BURST
from tests.integration.functions.conftest import FunctionsHarness, websocket_event

CREATE = json.dumps({"type": "response.create", "model": "echo", "input": "hello"})
ARN = "arn:aws:execute-api:us-east-1:000000000000:local/responses/$connect"


def event(*, source_ip: str = "192.0.2.1", **headers: str) -> dict[str, Any]:
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {},
        "requestContext": {
            "routeKey": "$connect",
            "connectionId": "c1",
            "identity": {"sourceIp": source_ip},
        },
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


def test_authorizer_has_many_wrong_keys_of_an_address_refused_by_connect(
    harness: FunctionsHarness, authorizer: ModuleType
) -> None:
    _, secret = new_key(authorizer)
    for number in range(BURST):
        with pytest.raises(authorizer.Unauthorized):
            authorizer.handler(event(Authorization=f"Bearer sk-axon-{number}"), None)
    for _ in range(BURST):  # on a slow machine, some tokens are back
        run(authorizer.KEYS._wrong_keys.count("192.0.2.1"))
    # Another address, and a right key from the same one, are not affected.
    wrong = {"Authorization": "Bearer sk-axon-wrong"}
    with pytest.raises(authorizer.Unauthorized):
        authorizer.handler(event(source_ip="192.0.2.2", **wrong), None)
    run(authorizer.KEYS._cache.drop(hash_key(secret)))  # nobody has used it lately
    right = authorizer.handler(event(Authorization=f"Bearer {secret}"), None)
    assert right["context"]["tenant_id"] == "tenant-7"
    answer = authorizer.handler(event(Authorization="Bearer sk-axon-one-too-many"), None)
    assert answer["context"] == {"refused": "429"}
    connecting = websocket_event(route="$connect")
    connecting["requestContext"]["authorizer"] = {"principalId": "unknown", **answer["context"]}
    connect = harness.load("connect")
    assert connect.handler(connecting, None) == {"statusCode": 429}
    assert run(harness.valkey.call("EXISTS", "axon:connection:L0SM9cOFvHcCIhw=")) == 0


@pytest.mark.parametrize("identity", [{}, {"sourceIp": "unknown"}])
def test_authorizer_slows_nobody_without_an_address(
    authorizer: ModuleType, identity: dict[str, str]
) -> None:
    for number in range(BURST + 1):
        connecting = event(Authorization=f"Bearer sk-axon-{number}")
        connecting["requestContext"]["identity"] = identity
        with pytest.raises(authorizer.Unauthorized):
            authorizer.handler(connecting, None)


def test_authorizer_needs_no_valkey(
    harness: FunctionsHarness, authorizer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does connect. Requests are then refused until Valkey is back (`test_respond.py`)."""
    key_id, secret = new_key(authorizer)
    away = {"valkey_url": "redis://127.0.0.1:1"}
    functions = {name: harness.load(name, **away) for name in ("authorizer", "connect")}
    monkeypatch.setattr(api_keys, "CACHE_S", 0.05)
    monkeypatch.setattr(functions["connect"], "REGISTERING_S", 0.05)
    headers = {"Authorization": f"Bearer {secret}"}
    allowed = functions["authorizer"].handler(event(**headers), None)
    assert allowed["context"]["key_id"] == key_id
    with pytest.raises(functions["authorizer"].Unauthorized):
        functions["authorizer"].handler(event(Authorization="Bearer sk-axon-wrong"), None)
    connecting = websocket_event(route="$connect")
    connecting["requestContext"]["authorizer"] = allowed["context"]
    assert functions["connect"].handler(connecting, None) == {"statusCode": 200}
    # Valkey is back, and knows nothing of the connection.
    assert harness.load("respond", **harness.variables).handler(websocket_event(CREATE), None) == {
        "statusCode": 200
    }
