"""API keys in both stores, and identities in both caches."""

import asyncio

import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.caches import ValkeyIdentityCache
from axon.adapters.valkey.client import Valkey
from axon.tenants.api_keys import ApiKey, ApiKeys, ApiKeyStore, Identity, IdentityCache
from axon.testing.stores import FakeApiKeyStore, FakeIdentityCache
from tests.contract.conftest import Kind

KEY = ApiKey(key_id="key_1", tenant_id="t", name="laptop", hint="abcd")
IDENTITY = Identity(tenant_id="t", key_id="key_1")


@pytest.fixture
def store(kind: Kind, request: pytest.FixtureRequest) -> ApiKeyStore:
    if kind == "fake":
        return FakeApiKeyStore()
    pool: Pool = request.getfixturevalue("pool")
    return PostgresApiKeyStore(pool=pool)


@pytest.fixture
def cache(kind: Kind, request: pytest.FixtureRequest) -> IdentityCache:
    if kind == "fake":
        return FakeIdentityCache()
    valkey: Valkey = request.getfixturevalue("valkey")
    return ValkeyIdentityCache(valkey=valkey, ttl_s=60)


async def test_a_key_is_found_by_its_hash(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    assert await store.find("h1") == IDENTITY
    assert await store.find("h2") is None


async def test_keys_are_listed_oldest_first(store: ApiKeyStore) -> None:
    assert list(await store.list()) == []
    await store.add(KEY, key_hash="h1")
    await store.add(ApiKey(key_id="key_0", tenant_id="u", name="n", hint="efgh"), key_hash="h0")
    keys = await store.list()
    assert [key.key_id for key in keys] == ["key_1", "key_0"]
    assert (keys[0].tenant_id, keys[0].name, keys[0].hint) == ("t", "laptop", "abcd")
    assert keys[0].created_at is not None
    assert keys[0].created_at.tzinfo is not None
    assert keys[0].revoked_at is None


async def test_a_hash_that_is_there_stays(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    await store.add(ApiKey(key_id="key_2", tenant_id="u", name="n", hint="x"), key_hash="h1")
    assert await store.find("h1") == IDENTITY
    assert len(await store.list()) == 1


async def test_a_tenant_may_have_several_keys(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    await store.add(ApiKey(key_id="key_2", tenant_id="t", name="n", hint="x"), key_hash="h2")
    assert await store.find("h2") == Identity(tenant_id="t", key_id="key_2")


async def test_a_revoked_key_is_not_found_any_more(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    assert await store.revoke("key_1") == "h1"
    assert await store.find("h1") is None
    (listed,) = await store.list()
    revoked_at = listed.revoked_at
    assert revoked_at is not None


async def test_revoking_again_and_revoking_nothing(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    await store.revoke("key_1")
    first = (await store.list())[0].revoked_at
    assert await store.revoke("key_1") == "h1"
    assert (await store.list())[0].revoked_at == first
    assert await store.revoke("key_unknown") is None


async def test_identities_are_cached_until_dropped(cache: IdentityCache) -> None:
    assert await cache.get("h1") is None
    await cache.put("h1", IDENTITY)
    assert await cache.get("h1") == IDENTITY
    assert await cache.get("h2") is None
    await cache.drop("h1")
    await cache.drop("h2")
    assert await cache.get("h1") is None


async def test_a_revoked_key_is_refused_at_once_though_cached(
    store: ApiKeyStore, cache: IdentityCache
) -> None:
    keys = ApiKeys(store=store, cache=cache)
    key, secret = await keys.create(tenant_id="t", name="n")
    assert await keys.authenticate(secret) == Identity(tenant_id="t", key_id=key.key_id)
    await keys.revoke(key.key_id)
    assert await keys.authenticate(secret) is None


async def test_many_at_once(store: ApiKeyStore, cache: IdentityCache) -> None:
    keys = ApiKeys(store=store, cache=cache)
    made = await asyncio.gather(*(keys.create(tenant_id="t", name=str(n)) for n in range(20)))
    found = await asyncio.gather(*(keys.authenticate(secret) for _, secret in made))
    assert [identity and identity.key_id for identity in found] == [k.key_id for k, _ in made]


async def test_a_cached_identity_does_not_stay_for_ever(valkey: Valkey) -> None:
    cache = ValkeyIdentityCache(valkey=valkey, ttl_s=60)
    await cache.put("h1", IDENTITY)
    assert 0 < await valkey.call("TTL", "axon:identity:h1") <= 60
