import asyncio
import hashlib

import pytest

from axon.exceptions import StoreFullError
from axon.tenants.api_keys import CACHE_S, KEY_PREFIX, ApiKeys, hash_key
from axon.testing.stores import FakeApiKeyStore, FakePrincipalCache
from tests.support import api_keys as support
from tests.support import virtual_time
from tests.support.principals import a_principal


def api_keys() -> tuple[ApiKeys, FakeApiKeyStore, FakePrincipalCache]:
    store, cache = FakeApiKeyStore(), FakePrincipalCache()
    return support.api_keys(store=store, cache=cache), store, cache


async def test_api_keys_authenticate_a_new_key_as_its_tenant() -> None:
    keys, _, _ = api_keys()
    key, secret = await keys.create(tenant_id="t", name="laptop")
    assert secret.startswith(KEY_PREFIX)
    assert key.hint == secret[-4:]
    assert (key.tenant_id, key.name) == ("t", "laptop")
    assert await keys.authenticate(secret) == a_principal("t", key_id=key.key_id)


async def test_api_keys_create_different_secrets() -> None:
    keys, _, _ = api_keys()
    secrets = {(await keys.create(tenant_id="t", name="n"))[1] for _ in range(20)}
    assert len(secrets) == 20
    assert min(map(len, secrets)) >= len(KEY_PREFIX) + 32


async def test_api_keys_accept_a_given_secret() -> None:
    keys, _, _ = api_keys()
    _, secret = await keys.create(tenant_id="t", name="local", secret="sk-axon-local")
    assert secret == "sk-axon-local"
    assert await keys.authenticate("sk-axon-local") is not None


async def test_api_keys_refuse_an_unknown_key_and_do_not_cache_it() -> None:
    keys, _, cache = api_keys()
    assert await keys.authenticate("sk-axon-wrong") is None
    assert cache.principals == {}


async def test_api_keys_ask_the_store_once_for_a_known_key() -> None:
    keys, store, cache = api_keys()
    key, secret = await keys.create(tenant_id="t", name="n")
    await keys.authenticate(secret)
    await store.revoke(key.key_id)
    assert await keys.authenticate(secret) == a_principal("t", key_id=key.key_id)
    assert list(cache.principals) == [hash_key(secret)]


async def test_api_keys_refuse_a_revoked_key_at_once() -> None:
    keys, _, _ = api_keys()
    key, secret = await keys.create(tenant_id="t", name="n")
    await keys.authenticate(secret)
    assert await keys.revoke(key.key_id)
    assert await keys.authenticate(secret) is None
    (listed,) = await keys.list()
    assert listed.revoked_at is not None


async def test_api_keys_revoke_no_unknown_key() -> None:
    keys, _, _ = api_keys()
    assert not await keys.revoke("key_unknown")


async def test_api_keys_keep_no_secret_in_store_or_cache() -> None:
    keys, store, cache = api_keys()
    _, secret = await keys.create(tenant_id="t", name="n")
    await keys.authenticate(secret)
    assert secret not in f"{vars(store)} {vars(cache)}"
    assert hash_key(secret) == hashlib.sha256(secret.encode()).hexdigest()


@pytest.mark.parametrize(
    "secret", ["sk-axon-l\u00f6cal", "\u201csk-axon-local\u201d", "\udcff", ""]
)
async def test_api_keys_refuse_a_key_that_is_no_ascii(secret: str) -> None:
    keys, _, _ = api_keys()
    assert await keys.authenticate(secret) is None


@pytest.mark.parametrize("hangs", [False, True])
def test_api_keys_need_no_cache(hangs: bool) -> None:
    async def scenario() -> None:
        keys, _, cache = api_keys()
        key, secret = await keys.create(tenant_id="t", name="n")

        async def away(*_: object) -> None:
            if hangs:
                await asyncio.sleep(60)
            raise StoreFullError("Valkey: away")

        for method in ("get", "put"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(cache, method, away)
                begun = virtual_time.now()
                assert await keys.authenticate(secret) == a_principal("t", key_id=key.key_id)
                assert virtual_time.now() - begun <= CACHE_S
                assert await keys.authenticate("sk-axon-wrong") is None

    virtual_time.run(scenario())
