"""API keys in both stores, and principals in both caches."""

import asyncio
from dataclasses import replace

import psycopg
import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.caches import KNOWN_S, ValkeyPrincipalCache
from axon.adapters.valkey.client import Valkey
from axon.tenants.api_keys import ApiKey, ApiKeyStore, CachedKey, PrincipalCache
from axon.tenants.principal import ALL_SCOPES
from axon.testing.stores import FakeApiKeyStore, FakePrincipalCache
from tests.contract.conftest import Kind
from tests.support.api_keys import api_keys
from tests.support.principals import a_principal

READ = frozenset({"responses:read"})
KEY = ApiKey(key_id="key_1", tenant_id="t", name="laptop", hint="abcd")
PRINCIPAL = a_principal("t", key_id="key_1")


@pytest.fixture
def store(kind: Kind, request: pytest.FixtureRequest) -> ApiKeyStore:
    if kind == "fake":
        return FakeApiKeyStore()
    pool: Pool = request.getfixturevalue("pool")
    return PostgresApiKeyStore(pool=pool)


@pytest.fixture
def cache(kind: Kind, request: pytest.FixtureRequest) -> PrincipalCache:
    if kind == "fake":
        return FakePrincipalCache()
    valkey: Valkey = request.getfixturevalue("valkey")
    return ValkeyPrincipalCache(valkey=valkey, ttl_s=60)


async def test_api_key_store_finds_a_key_by_its_hash(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    assert await store.find("h1") == PRINCIPAL
    assert await store.find("h2") is None


async def test_api_key_store_lists_keys_oldest_first(store: ApiKeyStore) -> None:
    assert list(await store.list()) == []
    await store.add(KEY, key_hash="h1")
    await store.add(ApiKey(key_id="key_0", tenant_id="u", name="n", hint="efgh"), key_hash="h0")
    keys = await store.list()
    assert [key.key_id for key in keys] == ["key_1", "key_0"]
    assert (keys[0].tenant_id, keys[0].name, keys[0].hint) == ("t", "laptop", "abcd")
    assert keys[0].created_at is not None
    assert keys[0].created_at.tzinfo is not None
    assert keys[0].revoked_at is None


async def test_api_key_store_keeps_the_first_key_of_a_hash(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    await store.add(ApiKey(key_id="key_2", tenant_id="u", name="n", hint="x"), key_hash="h1")
    assert await store.find("h1") == PRINCIPAL
    assert len(await store.list()) == 1


async def test_api_key_store_keeps_several_keys_of_a_tenant(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    await store.add(ApiKey(key_id="key_2", tenant_id="t", name="n", hint="x"), key_hash="h2")
    assert await store.find("h2") == a_principal("t", key_id="key_2")


async def test_api_key_store_does_not_find_a_revoked_key(store: ApiKeyStore) -> None:
    await store.add(KEY, key_hash="h1")
    assert await store.is_valid("key_1")
    assert await store.revoke("key_1") == "h1"
    assert await store.find("h1") is None
    assert not await store.is_valid("key_1")
    assert not await store.is_valid("key_unknown")
    (listed,) = await store.list()
    revoked_at = listed.revoked_at
    assert revoked_at is not None


async def test_api_key_store_revokes_a_key_once_and_ignores_an_unknown_one(
    store: ApiKeyStore,
) -> None:
    await store.add(KEY, key_hash="h1")
    await store.revoke("key_1")
    first = (await store.list())[0].revoked_at
    assert await store.revoke("key_1") == "h1"
    assert (await store.list())[0].revoked_at == first
    assert await store.revoke("key_unknown") is None


async def test_api_key_store_lists_the_prefixes_of_valid_keys(store: ApiKeyStore) -> None:
    for number in range(3):
        key = replace(KEY, key_id=f"key_{number}")
        await store.add(key, key_hash=f"{number}" * 64)
    await store.revoke("key_1")
    assert sorted(await store.prefixes()) == ["0" * 16, "2" * 16]


async def test_principal_cache_keeps_a_principal_until_it_is_dropped(cache: PrincipalCache) -> None:
    assert await cache.get("h1") == CachedKey()
    await cache.put("h1", PRINCIPAL)
    cached = await cache.get("h1")
    assert (cached.principal, cached.unknown) == (PRINCIPAL, False)
    assert 0 <= cached.age_s <= 2
    assert await cache.get("h2") == CachedKey()
    await cache.drop("h1")
    await cache.drop("h2")
    assert await cache.get("h1") == CachedKey()


async def test_principal_cache_notes_unknown_keys_until_they_are_dropped(
    cache: PrincipalCache,
) -> None:
    await cache.put("h1", PRINCIPAL)
    await cache.put_unknown("h1")
    await cache.put_unknown("h2")
    for key_hash in ("h1", "h2"):
        assert await cache.get(key_hash) == CachedKey(unknown=True)
        await cache.drop(key_hash)
        assert await cache.get(key_hash) == CachedKey()


async def test_api_keys_refuse_a_revoked_key_at_once_although_it_is_cached(
    store: ApiKeyStore, cache: PrincipalCache
) -> None:
    keys = api_keys(store=store, cache=cache)
    key, secret = await keys.create(tenant_id="t", name="n")
    assert await keys.authenticate(secret) == a_principal("t", key_id=key.key_id)
    await keys.revoke(key.key_id)
    assert await keys.authenticate(secret) is None


async def test_api_key_store_keeps_what_a_key_is_allowed(store: ApiKeyStore) -> None:
    await store.add(replace(KEY, scopes=READ), key_hash="h1")
    await store.add(replace(KEY, key_id="key_2", scopes=frozenset()), key_hash="h2")
    assert await store.find("h1") == a_principal(scopes=READ)
    assert await store.find("h2") == a_principal(key_id="key_2", scopes=frozenset())
    assert [key.scopes for key in await store.list()] == [READ, frozenset()]


@pytest.mark.parametrize("scopes", [ALL_SCOPES, READ, frozenset[str]()])
async def test_principal_cache_keeps_what_a_key_is_allowed(
    cache: PrincipalCache, scopes: frozenset[str]
) -> None:
    await cache.put("h1", a_principal(scopes=scopes))
    assert (await cache.get("h1")).principal == a_principal(scopes=scopes)


async def test_principal_cache_reads_what_was_cached_before_scopes(valkey: Valkey) -> None:
    await valkey.call("SET", "axon:identity:h1", "t\nkey_1")
    cached = await ValkeyPrincipalCache(valkey=valkey, ttl_s=60).get("h1")
    assert cached.principal == a_principal()


async def test_principal_cache_writes_what_the_version_before_scopes_reads(valkey: Valkey) -> None:
    await ValkeyPrincipalCache(valkey=valkey, ttl_s=60).put("h1", a_principal())
    assert await valkey.call("GET", "axon:identity:h1") == b"t\nkey_1"


async def test_api_key_store_allows_everything_to_a_key_from_before_scopes(
    pool: Pool, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("INSERT INTO tenants (tenant_id) VALUES ('t')")
        connection.execute(
            "INSERT INTO api_keys (key_id, tenant_id, name, hint, key_hash) "
            "VALUES ('key_1', 't', 'n', 'abcd', 'h1')"
        )
    assert await PostgresApiKeyStore(pool=pool).find("h1") == a_principal()


async def test_api_keys_create_and_authenticate_many_keys_at_once(
    store: ApiKeyStore, cache: PrincipalCache
) -> None:
    keys = api_keys(store=store, cache=cache)
    made = await asyncio.gather(*(keys.create(tenant_id="t", name=str(n)) for n in range(20)))
    found = await asyncio.gather(*(keys.authenticate(secret) for _, secret in made))
    assert [principal and principal.key_id for principal in found] == [k.key_id for k, _ in made]


async def test_principal_cache_expires(valkey: Valkey) -> None:
    cache = ValkeyPrincipalCache(valkey=valkey, ttl_s=60)
    await cache.put("h1", PRINCIPAL)
    assert 0 < await valkey.call("TTL", "axon:identity:h1") <= 60
    await cache.put_unknown("h1")
    assert 0 < await valkey.call("TTL", "axon:identity:h1:unknown") <= 10


async def test_principal_cache_tells_the_age_of_a_principal(valkey: Valkey) -> None:
    cache = ValkeyPrincipalCache(valkey=valkey)
    await cache.put("h1", PRINCIPAL)
    await valkey.call("EXPIRE", "axon:identity:h1", int(KNOWN_S) - 30)
    assert 29 <= (await cache.get("h1")).age_s <= 31
    # Written by an authorizer of the version before, with its own expiry: looked up at once.
    await valkey.call("EXPIRE", "axon:identity:h1", 60)
    assert (await cache.get("h1")).age_s >= 59
