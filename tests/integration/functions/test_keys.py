from types import ModuleType
from typing import Any

import pytest

from tests.integration.functions.conftest import FunctionsHarness
from tests.integration.functions.test_authorizer import event as connecting

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
