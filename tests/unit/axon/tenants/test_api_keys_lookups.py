"""Look-ups in the store: how many, of which keys, and while a server is away."""

from collections.abc import Callable, Coroutine, Sequence

import pytest
from typing_extensions import override

from axon.exceptions import UnavailableError, WrongKeysError
from axon.tenants.api_keys import FRESH_S, Revocation, hash_key
from axon.tenants.principal import Principal
from axon.tenants.revocation import KeyState
from axon.tenants.wrong_keys import BURST, INTERVAL_S
from axon.testing.api_keys import FakeOpenConnections
from axon.testing.stores import FakeApiKeyStore, FakePrincipalCache
from tests.support import virtual_time
from tests.support.api_keys import api_keys

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"
Scenario = Callable[[], Coroutine[None, None, None]]


class CountedStore(FakeApiKeyStore):
    """Counts look-ups; `away` makes them fail."""

    def __init__(self) -> None:
        super().__init__()
        self.finds = self.lists = 0
        self.away = False

    @override
    async def find(self, key_hash: str) -> Principal | None:
        self.finds += 1
        if self.away:
            raise UnavailableError("PostgreSQL: away")
        return await super().find(key_hash)

    @override
    async def prefixes(self) -> Sequence[str]:
        self.lists += 1
        if self.away:
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


@in_virtual_time
async def test_api_keys_refuse_wrong_keys_while_the_store_is_away() -> None:
    store = CountedStore()
    keys = api_keys(store=store)
    for number in range(BURST):
        await keys.authenticate(f"sk-axon-{number}", address=ADDRESS)
    store.away = True
    for number in range(10):
        with pytest.raises(WrongKeysError):
            await keys.authenticate(f"sk-axon-more-{number}", address=ADDRESS)
    assert store.lists == 1


@in_virtual_time
async def test_api_keys_do_not_count_a_repeated_wrong_key() -> None:
    keys = api_keys()
    for _ in range(3 * BURST):
        assert await keys.authenticate("sk-axon-old", address=ADDRESS) is None
    assert await keys.authenticate("sk-axon-wrong", address=ADDRESS) is None


@in_virtual_time
async def test_api_keys_slow_nobody_while_the_cache_is_away() -> None:
    cache = FakePrincipalCache()
    keys = api_keys(cache=cache)
    cache.get = away  # type: ignore[method-assign, assignment]
    for number in range(3 * BURST):
        assert await keys.authenticate(f"sk-axon-{number}", address=ADDRESS) is None


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
