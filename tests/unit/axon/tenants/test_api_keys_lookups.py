"""Look-ups in the store: how many, of which keys, and while a server is away."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from uuid import uuid4

import pytest
from typing_extensions import override

from axon.exceptions import UnavailableError, WrongKeysError
from axon.tenants.api_keys import FRESH_S, ApiKeys, Revocation, hash_key
from axon.tenants.known_keys import REFRESH_S, RETRY_S, UNLISTED_LOOKUPS
from axon.tenants.principal import Principal
from axon.tenants.process_counts import UNKNOWN_S
from axon.tenants.revocation import KeyState
from axon.tenants.wrong_keys import BURST, INTERVAL_S
from axon.testing.api_keys import FakeOpenConnections
from axon.testing.stores import FakeApiKeyStore, FakePrincipalCache
from tests.support import virtual_time
from tests.support.api_keys import api_keys

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"
Scenario = Callable[[], Coroutine[None, None, None]]


class CountedStore(FakeApiKeyStore):
    """Counts look-ups; `away` makes them fail, `lists_fail` only lists, which take `list_s`."""

    def __init__(self) -> None:
        super().__init__()
        self.finds = self.lists = 0
        self.away = self.lists_fail = False
        self.list_s = 0.0

    @override
    async def find(self, key_hash: str) -> Principal | None:
        self.finds += 1
        if self.away:
            raise UnavailableError("PostgreSQL: away")
        return await super().find(key_hash)

    @override
    async def prefixes(self) -> Sequence[str]:
        self.lists += 1
        await asyncio.sleep(self.list_s)
        if self.away or self.lists_fail:
            raise UnavailableError("PostgreSQL: away")
        return await super().prefixes()


async def away(*_: object, **__: object) -> None:
    raise UnavailableError("Valkey: away")


def in_virtual_time(scenario: Scenario) -> Callable[[], None]:
    """Run a test in virtual time."""

    def test() -> None:
        virtual_time.run(scenario())

    return test


async def seconds(count: float) -> None:
    virtual_time.pause_process(count)


@in_virtual_time
async def test_api_keys_notice_a_revocation_that_the_cache_was_not_told_of() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    key, secret = await keys.create(tenant_id="t", name="n")
    assert await keys.authenticate(secret)
    await store.revoke(key.key_id)
    await seconds(FRESH_S)
    assert await keys.authenticate(secret) is None


@in_virtual_time
async def test_api_keys_renew_a_busy_key_once_for_all_its_requests() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    key, secret = await keys.create(tenant_id="t", name="n")
    assert await keys.authenticate(secret)
    await seconds(FRESH_S)
    before = store.finds
    first, *others = [asyncio.create_task(keys.authenticate(secret)) for _ in range(64)]
    await asyncio.sleep(0)
    first.cancel()  # its client has left: the others' look-up continues
    assert await asyncio.gather(*others) == [key.principal] * 63
    assert store.finds == before + 1


@in_virtual_time
async def test_api_keys_know_a_key_until_it_is_looked_up_again() -> None:
    keys = api_keys(store=CountedStore())
    key, secret = await keys.create(tenant_id="t", name="n")
    assert keys.recent(secret) is None
    await seconds(FRESH_S / 2)
    assert await keys.authenticate(secret)
    assert keys.recent(secret) == key.principal
    await seconds(FRESH_S / 2)
    assert keys.recent(secret) is None, "its look-up was 4 s ago, wherever it was noted"


@in_virtual_time
async def test_api_keys_accept_a_known_key_for_a_minute_while_the_store_is_away() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    key, secret = await keys.create(tenant_id="t", name="n")
    store.away = True
    await seconds(55)
    for _ in range(10):
        principal = await keys.authenticate(secret)
        assert principal is not None
        assert principal.key_id == key.key_id
    assert store.finds == 1, "a store that is away is not asked by every call"
    await seconds(5)
    with pytest.raises(UnavailableError):
        await keys.authenticate(secret)


@in_virtual_time
async def test_api_keys_look_an_unknown_key_up_once() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    for _ in range(5):
        assert await keys.authenticate("sk-axon-wrong") is None
    assert store.finds == 1


@in_virtual_time
async def test_api_keys_accept_a_key_at_once_that_was_tried_before_it_was_created() -> None:
    keys = api_keys()
    assert await keys.authenticate("sk-axon-mine") is None
    await keys.create(tenant_id="t", name="n", secret="sk-axon-mine")
    assert await keys.authenticate("sk-axon-mine") is not None


@in_virtual_time
async def test_api_keys_refuse_many_wrong_keys_of_an_address_without_a_look_up() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    for number in range(BURST):
        assert await keys.authenticate(f"sk-axon-{number}", address=ADDRESS) is None
    for number in range(50):
        with pytest.raises(WrongKeysError):
            await keys.authenticate(f"sk-axon-more-{number}", address=ADDRESS)
    assert store.finds == BURST
    assert await keys.authenticate("sk-axon-other", address=OTHER) is None
    await seconds(INTERVAL_S)
    assert await keys.authenticate("sk-axon-later", address=ADDRESS) is None
    with pytest.raises(WrongKeysError):
        await keys.authenticate("sk-axon-too-early", address=ADDRESS)


@in_virtual_time
async def test_api_keys_let_right_keys_in_from_an_address_with_wrong_ones() -> None:
    """Many people share an address (NAT): of a key that nobody used lately, and of a new one."""
    store, cache = CountedStore(), FakePrincipalCache()
    keys = api_keys(store=store, cache=cache)
    _, secret = await keys.create(tenant_id="t", name="n")
    revoked, revoked_secret = await keys.create(tenant_id="t", name="n")
    await keys.revoke(revoked.key_id)
    for number in range(BURST):
        await keys.authenticate(f"sk-axon-{number}", address=ADDRESS)
    for wrong in ("sk-axon-wrong", revoked_secret):
        with pytest.raises(WrongKeysError):
            await keys.authenticate(wrong, address=ADDRESS)
    _, new = await keys.create(tenant_id="t", name="n")
    await cache.drop(hash_key(secret))
    for right in (secret, new):
        assert await keys.authenticate(right, address=ADDRESS) is not None
    assert (store.finds, store.lists) == (BURST + 1, 1)


async def exhaust(keys: ApiKeys, address: str = ADDRESS) -> None:
    """Try as many wrong keys as an address may; none that was tried before."""
    for _ in range(BURST):
        assert await keys.authenticate(f"sk-axon-{uuid4()}", address=address) is None


@in_virtual_time
async def test_api_keys_call_no_key_wrong_before_a_list_was_read() -> None:
    """The store decides which ones are wrong, for a bounded number of them."""
    store, cache = CountedStore(), FakePrincipalCache()
    keys = api_keys(store=store, cache=cache)
    _, secret = await keys.create(tenant_id="t", name="n")
    await cache.drop(hash_key(secret))
    await exhaust(keys)
    store.lists_fail = True
    assert await keys.authenticate(secret, address=ADDRESS) is not None
    await cache.drop(hash_key(secret))
    for number in range(10 * UNLISTED_LOOKUPS):
        with suppress(UnavailableError):
            assert await keys.authenticate(f"sk-axon-more-{number}", address=ADDRESS) is None
    assert (store.finds, store.lists) == (BURST + UNLISTED_LOOKUPS, 1)
    with pytest.raises(UnavailableError):
        await keys.authenticate(secret, address=ADDRESS)
    await seconds(RETRY_S)
    assert await keys.authenticate("sk-axon-later", address=ADDRESS) is None
    assert await keys.authenticate(secret, address=ADDRESS) is not None
    assert store.lists == 2


@in_virtual_time
async def test_api_keys_ask_a_store_that_is_away_for_few_of_many_wrong_keys() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    await exhaust(keys)
    store.away = True
    for number in range(10 * UNLISTED_LOOKUPS):
        with pytest.raises(UnavailableError):
            await keys.authenticate(f"sk-axon-more-{number}", address=ADDRESS)
    assert (store.finds, store.lists) == (BURST + UNLISTED_LOOKUPS, 1)
    store.away = False
    await seconds(RETRY_S)
    await exhaust(keys, OTHER)
    with pytest.raises(WrongKeysError):
        await keys.authenticate("sk-axon-more", address=OTHER)


@in_virtual_time
async def test_api_keys_use_an_older_list_while_it_cannot_be_read_again() -> None:
    """A key that was made since may be missing in it, and gets in all the same."""
    store, cache = CountedStore(), FakePrincipalCache()
    keys = api_keys(store=store, cache=cache)
    _, listed = await keys.create(tenant_id="t", name="n")
    await exhaust(keys)
    with pytest.raises(WrongKeysError):
        await keys.authenticate("sk-axon-wrong", address=ADDRESS)
    _, new = await keys.create(tenant_id="t", name="n")
    await seconds(REFRESH_S)
    await exhaust(keys)
    store.lists_fail = True
    for number in range(UNLISTED_LOOKUPS - 1):
        assert await keys.authenticate(f"sk-axon-more-{number}", address=ADDRESS) is None
    await cache.drop(hash_key(new))
    assert await keys.authenticate(new, address=ADDRESS) is not None
    with pytest.raises(UnavailableError):
        await keys.authenticate("sk-axon-no-room", address=ADDRESS)
    await cache.drop(hash_key(listed))
    assert await keys.authenticate(listed, address=ADDRESS) is not None
    store.lists_fail = False
    await seconds(RETRY_S)
    await cache.drop(hash_key(new))
    assert await keys.authenticate(new, address=ADDRESS) is not None


@in_virtual_time
async def test_api_keys_wait_for_the_list_that_another_call_reads() -> None:
    store, cache = CountedStore(), FakePrincipalCache()
    keys = api_keys(store=store, cache=cache)
    _, secret = await keys.create(tenant_id="t", name="n")
    await exhaust(keys)
    await cache.drop(hash_key(secret))
    store.list_s = 0.5
    attempts = (keys.authenticate(each, address=ADDRESS) for each in ("sk-axon-wrong", secret))
    wrong, right = await asyncio.gather(*attempts, return_exceptions=True)
    assert isinstance(wrong, WrongKeysError)
    assert isinstance(right, Principal)
    assert store.lists == 1


@in_virtual_time
async def test_api_keys_do_not_count_a_repeated_wrong_key() -> None:
    keys = api_keys()
    for _ in range(3 * BURST):
        assert await keys.authenticate("sk-axon-old", address=ADDRESS) is None
    assert await keys.authenticate("sk-axon-wrong", address=ADDRESS) is None


def without(cache: FakePrincipalCache, missing: str) -> None:
    """Make Valkey be away, or have no memory: then it refuses writes alone."""
    for method in ("get", "put", "put_unknown") if missing == "Valkey" else ("put", "put_unknown"):
        setattr(cache, method, away)


@pytest.mark.parametrize("missing", ["Valkey", "memory"])
def test_api_keys_bound_the_look_ups_of_an_address_without(missing: str) -> None:
    """By a count of their own: also of keys that are tried at the same time."""

    async def scenario() -> None:
        store, cache = CountedStore(), FakePrincipalCache()
        keys = api_keys(store=store, cache=cache)
        _, secret = await keys.create(tenant_id="t", name="n")
        await cache.drop(hash_key(secret))
        without(cache, missing)
        keys._wrong_keys.count = away  # type: ignore[method-assign]
        attempts = (keys.authenticate(f"sk-axon-{n}", address=ADDRESS) for n in range(3 * BURST))
        results = await asyncio.gather(*attempts, return_exceptions=True)
        assert results.count(None) == store.finds == BURST
        assert all(isinstance(each, WrongKeysError) for each in results if each is not None)
        assert await keys.authenticate("sk-axon-other", address=OTHER) is None
        for _ in range(2 * BURST):
            assert await keys.authenticate(secret, address=ADDRESS) is not None
            assert await keys.authenticate(secret, address="192.0.2.3") is not None
        await seconds(INTERVAL_S)
        assert await keys.authenticate("sk-axon-later", address=ADDRESS) is None

    virtual_time.run(scenario())


@pytest.mark.parametrize("missing", ["Valkey", "memory"])
def test_api_keys_look_an_unknown_key_up_once_in_some_seconds_without(missing: str) -> None:
    async def scenario() -> None:
        store, cache = CountedStore(), FakePrincipalCache()
        keys = api_keys(store=store, cache=cache)
        without(cache, missing)
        for _ in range(5):
            assert await keys.authenticate("sk-axon-mine") is None
        assert store.finds == 1
        await seconds(UNKNOWN_S)
        assert await keys.authenticate("sk-axon-mine") is None
        assert store.finds == 2
        await keys.create(tenant_id="t", name="n", secret="sk-axon-mine")
        assert await keys.authenticate("sk-axon-mine") is not None

    virtual_time.run(scenario())


@in_virtual_time
async def test_api_keys_have_the_connections_of_a_revoked_key_closed() -> None:
    connections = FakeOpenConnections()
    keys = api_keys(connections=connections)
    key, _ = await keys.create(tenant_id="t", name="n")
    await connections.note(key.key_id, "c1")
    assert await keys.revoke(key.key_id) is Revocation.CLOSING
    assert await connections.note(key.key_id, "c1") is KeyState.REVOKED
    (closed,) = await connections.revoked("relay-a", limit=10)
    assert closed.connection_id == "c1"


@in_virtual_time
async def test_api_keys_say_when_connections_of_a_revoked_key_stay_open() -> None:
    store, connections = FakeApiKeyStore(), FakeOpenConnections()
    keys = api_keys(store=store, connections=connections)
    key, secret = await keys.create(tenant_id="t", name="n")
    connections.has_relay = False
    assert await keys.revoke(key.key_id) is Revocation.NO_RELAY
    connections.revoke = away  # type: ignore[method-assign, assignment]
    assert await keys.revoke(key.key_id) is Revocation.NO_VALKEY
    assert await keys.authenticate(secret) is None
    assert not await store.is_valid(key.key_id)
