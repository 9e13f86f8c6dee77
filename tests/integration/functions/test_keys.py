import json
from types import ModuleType
from typing import Any

import pytest

from axon.lambdas import run
from axon.tenants import api_keys
from tests.integration.functions.conftest import FunctionsHarness, websocket_event
from tests.integration.functions.test_authorizer import event as connecting

ASK = json.dumps({"type": "response.create", "model": "echo", "input": "hello"})
CREATE = {"action": "create", "tenant_id": "tenant-7", "name": "laptop"}


@pytest.fixture
def keys(harness: FunctionsHarness) -> ModuleType:
    return harness.load("keys")


def lets_in(authorizer: ModuleType, secret: str) -> bool:
    try:
        authorizer.handler(connecting(Authorization=f"Bearer {secret}"), None)
    except authorizer.Unauthorized:
        return False
    return True


def test_keys_function_creates_and_revokes_with_immediate_effect(
    harness: FunctionsHarness, keys: ModuleType
) -> None:
    authorizer = harness.load("authorizer")
    made = keys.handler(CREATE, None)
    assert lets_in(authorizer, made["secret"])  # and caches it
    key_id = made["key"]["key_id"]
    assert keys.handler({"action": "revoke", "key_id": key_id}, None) == {"revoked": key_id}
    assert not lets_in(authorizer, made["secret"])


def test_keys_function_lists_keys(keys: ModuleType) -> None:
    made = keys.handler(CREATE, None)["key"]
    (listed,) = keys.handler({"action": "list"}, None)["keys"]
    assert listed == made | {"created_at": listed["created_at"]}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"action": "revoke", "key_id": "key_x"}, "not_found"),
        (CREATE | {"tenant_id": "../x"}, "invalid_request"),
    ],
)
def test_keys_function_refuses_invalid_commands(
    keys: ModuleType, event: dict[str, Any], code: str
) -> None:
    assert keys.handler(event, None)["error"]["code"] == code


def test_keys_function_answers_unavailable_without_a_database(harness: FunctionsHarness) -> None:
    keys = harness.load("keys", postgres_dsn="postgresql://127.0.0.1:1/none")
    keys.KEYS._store._pool.timeout = 0.2
    assert keys.handler({"action": "list"}, None)["error"]["code"] == "unavailable"


def test_keys_function_logs_no_secrets(keys: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        made = keys.handler(CREATE, None)
    logged = str([vars(record) for record in caplog.records])
    assert made["key"]["key_id"] in logged
    assert made["secret"] not in logged


def test_keys_function_refuses_requests_on_open_connections_of_a_revoked_key(
    harness: FunctionsHarness, keys: ModuleType
) -> None:
    key_id = keys.handler(CREATE, None)["key"]["key_id"]
    connect, respond, disconnect = map(harness.load, ("connect", "respond", "disconnect"))
    route = {"route": "$connect", "key_id": key_id}
    for connection_id in ("c1", "c2"):
        opening = websocket_event(**route, connection_id=connection_id)
        assert connect.handler(opening, None) == {"statusCode": 200}
    disconnect.handler(
        websocket_event(route="$disconnect", connection_id="c2", key_id=key_id), None
    )
    asking = websocket_event(ASK, connection_id="c1", key_id=key_id)
    assert respond.handler(asking, None) == {"statusCode": 200}
    keys.handler({"action": "revoke", "key_id": key_id}, None)
    refused = json.loads(respond.handler(asking, None)["body"])
    assert (refused["status"], refused["code"]) == (401, "invalid_api_key")
    assert connect.handler(websocket_event(**route, connection_id="c3"), None) == {
        "statusCode": 401
    }
    found = run(connect.OPEN_CONNECTIONS.revoked("relay", limit=10))
    assert {each.connection_id for each in found} == {"c1", "c3"}


def test_keys_function_says_when_open_connections_cannot_be_closed(
    harness: FunctionsHarness, keys: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "REVOKING_S", 0.05)
    key_id = keys.handler(CREATE, None)["key"]["key_id"]
    respond = harness.load("respond")
    opening = websocket_event(route="$connect", key_id=key_id)
    harness.load("connect").handler(opening, None)
    cut_off = harness.load("keys", valkey_url="redis://127.0.0.1:1")
    answer = cut_off.handler({"action": "revoke", "key_id": key_id}, None)
    assert answer["revoked"] == key_id
    assert "Valkey does not answer" in answer["open_connections"]
    # Requests notice all the same, and have the connections closed.
    told = json.loads(respond.handler(websocket_event(ASK, key_id=key_id), None)["body"])
    assert told["code"] == "invalid_api_key"
    found = run(harness.load("connect", **harness.variables).OPEN_CONNECTIONS.revoked("r", limit=9))
    assert [each.connection_id for each in found] == ["L0SM9cOFvHcCIhw="]
    run(harness.valkey.call("DEL", "axon:relays"))
    answer = keys.handler({"action": "revoke", "key_id": key_id}, None)
    assert "no relay runs" in answer["open_connections"]
