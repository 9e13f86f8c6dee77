import json
from typing import Any

import pytest

from axon.exceptions import UnavailableError
from axon.tenants.api_keys import ApiKeys
from axon.tenants.commands import answer
from axon.testing.stores import FakeApiKeyStore, FakeRetention
from tests.support.api_keys import api_keys
from tests.support.principals import a_principal

RETENTION = FakeRetention("acme")
CREATE: dict[str, object] = {"action": "create", "tenant_id": "acme", "name": "laptop"}


@pytest.fixture
def keys() -> ApiKeys:
    return api_keys()


async def ask(keys: ApiKeys, **event: Any) -> dict[str, Any]:
    """Ask as Lambda does: JSON both ways."""
    answered = await answer(json.loads(json.dumps(event)), keys=keys, retention=RETENTION)
    told: dict[str, Any] = json.loads(json.dumps(answered))
    return told


async def test_create_key_answers_with_key_and_secret(keys: ApiKeys) -> None:
    made = await ask(keys, **CREATE)
    assert set(made) == {"key", "secret"}
    key = made["key"]
    assert (key["tenant_id"], key["name"], key["hint"]) == ("acme", "laptop", made["secret"][-4:])
    assert await keys.authenticate(made["secret"]) == a_principal("acme", key_id=key["key_id"])


async def test_list_keys_answers_without_secrets(keys: ApiKeys) -> None:
    made = [await ask(keys, **CREATE) for _ in range(2)]
    listed = await ask(keys, action="list")
    assert [key["key_id"] for key in listed["keys"]] == [it["key"]["key_id"] for it in made]
    assert listed["keys"][0]["created_at"].startswith("20")
    assert listed["keys"][0]["revoked_at"] is None
    assert not any(it["secret"] in json.dumps(listed) for it in made)


async def test_revoke_key_makes_the_key_useless(keys: ApiKeys) -> None:
    made = await ask(keys, **CREATE)
    key_id = made["key"]["key_id"]
    assert await keys.authenticate(made["secret"])
    assert await ask(keys, action="revoke", key_id=key_id) == {"revoked": key_id}
    assert await keys.authenticate(made["secret"]) is None


async def test_revoke_key_answers_not_found_for_an_unknown_key(keys: ApiKeys) -> None:
    answered = await ask(keys, action="revoke", key_id="key_x")
    assert answered == {"error": {"code": "not_found", "message": "there is no key key_x"}}


@pytest.mark.parametrize("tenant_id", ["a", "A" * 64, "0", "acme-2_x.y"])
@pytest.mark.parametrize("name", ["laptop", "Müllers Büro 🌍", "x" * 100])
async def test_create_key_accepts_valid_names(keys: ApiKeys, tenant_id: str, name: str) -> None:
    made = await ask(keys, action="create", tenant_id=tenant_id, name=name)
    assert (made["key"]["tenant_id"], made["key"]["name"]) == (tenant_id, name)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        *(
            (CREATE | {"tenant_id": tenant_id}, "tenant_id: ")
            for tenant_id in ("", "-a", ".a", "a b", "a/b", "a\n", "ä", "A" * 65, 7, None)
        ),
        *((CREATE | {"name": name}, "name: ") for name in ("", "a\nb", "a\x00", "x" * 101, None)),
        ({"action": "create", "name": "n"}, "tenant_id: Field required"),
        (CREATE | {"secret": "sk-mine"}, "secret: Extra inputs are not permitted"),
        ({"action": "revoke"}, "key_id: Field required"),
        ({"action": "drop"}, "action: Input tag 'drop'"),
        ({}, "action: Unable to extract tag"),
    ],
)
async def test_command_is_refused_if_it_is_invalid(
    keys: ApiKeys, event: dict[str, Any], said: str
) -> None:
    answered = await ask(keys, **event)
    assert set(answered) == {"error"}
    assert answered["error"]["code"] == "invalid_request"
    assert said in answered["error"]["message"]
    assert await keys.list() == []


async def test_command_answers_unavailable_without_a_database(
    keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise UnavailableError("PostgreSQL: away")

    monkeypatch.setattr(FakeApiKeyStore, "list", away)
    answered = await ask(keys, action="list")
    assert answered == {"error": {"code": "unavailable", "message": "PostgreSQL: away"}}


@pytest.mark.parametrize("days", [30, 0, None])
async def test_set_retention_answers_with_what_is_set(keys: ApiKeys, days: int | None) -> None:
    answered = await ask(keys, action="set_retention", tenant_id="acme", days=days)
    assert answered == {"tenant_id": "acme", "days": days}
    assert RETENTION.days == {"acme": days}
    unknown = await ask(keys, action="set_retention", tenant_id="nobody", days=days)
    assert unknown["error"]["code"] == "not_found"
    wrong = await ask(keys, action="set_retention", tenant_id="acme", days=-1)
    assert wrong["error"]["code"] == "invalid_request"
