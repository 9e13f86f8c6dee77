"""Tenants and their API keys. A key is shown once, when it is made; only its hash is kept."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from axon.exceptions import UnavailableError, WrongKeysError
from axon.ids import new_id
from axon.tenants.known_keys import KnownKeys
from axon.tenants.lookups import BriefLookups, SharedLookups
from axon.tenants.principal import ALL_SCOPES, Principal
from axon.tenants.process_counts import AddressLookups, UnknownKeys
from axon.tenants.recent_keys import RecentKeys
from axon.tenants.revocation import OpenConnections
from axon.tenants.wrong_keys import WrongKeys

KEY_PREFIX = "sk-axon-"
CACHE_S = 1.0
"""Seconds for the cache's answer; a healthy one takes a millisecond."""
FRESH_S = 4.0
"""Seconds for which a key is not looked up again: a revocation that did not reach the cache takes
effect within them."""
REVOKING_S = 5.0
"""Seconds for Valkey to take a revocation."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret.

    Parameters
    ----------
    key_id : str
        Id by which operators name it; no secret.
    tenant_id : str
        The tenant whose responses its requests may see.
    name : str
        The operator's label for it.
    hint : str
        Last four characters of the secret, to tell keys apart.
    created_at, revoked_at : datetime | None
        As the store has them; None: not stored yet, not revoked.
    scopes : frozenset[str]
        What requests with this key are allowed.
    """

    key_id: str
    tenant_id: str
    name: str
    hint: str
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    scopes: frozenset[str] = ALL_SCOPES

    @property
    def principal(self) -> Principal:
        """The principal of requests that carry this key."""
        return Principal(tenant_id=self.tenant_id, key_id=self.key_id, scopes=self.scopes)


class ApiKeyStore(Protocol):
    """A store of API keys and their tenants; a fake in `axon.testing`."""

    async def add(self, key: ApiKey, *, key_hash: str) -> None:
        """Add a key, and its tenant if that is new; do nothing if the hash is known already."""
        ...

    async def find(self, key_hash: str) -> Principal | None:
        """Return the principal of a key, or None if the key is unknown or revoked."""
        ...

    async def list(self) -> Sequence[ApiKey]:
        """Return all keys, oldest first."""
        ...

    async def is_valid(self, key_id: str) -> bool:
        """Return whether the key exists and is not revoked."""
        ...

    async def prefixes(self) -> Sequence[str]:
        """Return the first `PREFIX_DIGITS` of the hashes of all valid keys."""
        ...

    async def revoke(self, key_id: str) -> str | None:
        """Revoke a key; return its hash, or None for an unknown key."""
        ...


@dataclass(frozen=True, slots=True)
class CachedKey:
    """A key as the cache knows it.

    Parameters
    ----------
    principal : Principal | None
        The key's principal when the store was asked last; None if that is not known.
    age_s : float
        Seconds since then.
    unknown : bool
        True if the store was asked a moment ago, and does not have the key.
    """

    principal: Principal | None = None
    age_s: float = 0.0
    unknown: bool = False


class PrincipalCache(Protocol):
    """A cache in front of `ApiKeyStore.find`."""

    async def get(self, key_hash: str) -> CachedKey:
        """Return what the cache knows of a key."""
        ...

    async def put(self, key_hash: str, principal: Principal) -> None:
        """Cache the principal of a key."""
        ...

    async def put_unknown(self, key_hash: str) -> None:
        """Note for some seconds that the store does not have a key, or has it as revoked."""
        ...

    async def drop(self, key_hash: str) -> None:
        """Remove what the cache knows of a key."""
        ...


class Revocation(Enum):
    """Outcome of a revocation for the open connections of the key.

    `CLOSING`: a relay closes them. `NO_RELAY`: the next relay that starts does. `NO_VALKEY`: they
    stay open, because Valkey was not there to be written to.
    """

    CLOSING = auto()
    NO_RELAY = auto()
    NO_VALKEY = auto()


def hash_key(secret: str) -> str:
    """Return a key's SHA-256 in hex.

    Keys are 192 random bits: a plain hash cannot be searched, a slow one would only cost time.
    Bytes of a header that are no text come as surrogates, and are those of no key.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


class ApiKeys:
    """Creates, authenticates and revokes keys.

    Parameters
    ----------
    store : ApiKeyStore
        Has all keys.
    cache : PrincipalCache
        Spares the store what it was asked a moment ago.
    wrong_keys : WrongKeys
        Spares the store the many wrong keys of an address.
    connections : OpenConnections
        Has the connections of revoked keys closed.
    stale_s : float
        Seconds since its last look-up for which a key is accepted while the store is away.
    """

    def __init__(
        self,
        *,
        store: ApiKeyStore,
        cache: PrincipalCache,
        wrong_keys: WrongKeys,
        connections: OpenConnections,
        stale_s: float = 60.0,
    ) -> None:
        self._store = store
        self._cache = cache
        self._lookups = BriefLookups()
        self._renewals = SharedLookups[Principal | None]()
        self._recent = RecentKeys()
        self._known_keys = KnownKeys(store=store)
        self._wrong_keys = wrong_keys
        self._address_lookups = AddressLookups()
        self._unknown_keys = UnknownKeys()
        self._connections = connections
        self._stale_s = stale_s

    async def create(
        self, *, tenant_id: str, name: str, secret: str | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key; return it and its secret, which is not kept.

        A given `secret` (the local cloud's well-known key) is used as it is.
        """
        given, secret = secret, secret or KEY_PREFIX + secrets.token_urlsafe(24)
        key = ApiKey(key_id=new_id("key"), tenant_id=tenant_id, name=name, hint=secret[-4:])
        key_hash = hash_key(secret)
        await self._store.add(key, key_hash=key_hash)
        self._unknown_keys.forget(key_hash)
        # A given secret may have been tried already, and may be that of another key. A new one is
        # in the cache until it is in the lists of all processes (`KnownKeys`).
        known = self._cache.drop(key_hash) if given else self._cache.put(key_hash, key.principal)
        await self._tell_cache(known)
        return key, secret

    async def authenticate(self, secret: str, *, address: str | None = None) -> Principal | None:
        """Return the principal of a valid key, or None.

        A cache that is away costs `CACHE_S` at most: the store knows all keys. While it is away, or
        has no memory, this process bounds the look-ups of an address by itself.

        Parameters
        ----------
        secret : str
            The key.
        address : str | None
            Whose wrong keys are counted (`axon.tenants.wrong_keys.subscriber_of`); None: nobody's.

        Raises
        ------
        WrongKeysError
            The key is wrong, and the address has tried too many of them.
        UnavailableError
            The store is away, and the cache does not have the key.
        """
        key_hash = hash_key(secret)
        cached, wait_s = await self._ask_cache(key_hash, address)
        known = cached or CachedKey()
        if known.unknown or (known.principal is None and self._unknown_keys.has(key_hash)):
            return None
        if known.principal is not None and known.age_s < FRESH_S:
            self._recent.note(key_hash, known.principal, FRESH_S - known.age_s)
            return known.principal
        if known.principal is not None and known.age_s < self._stale_s:
            # Once for all requests of the key: else each time that it is due, as many look-ups
            # would be made as requests are on their way. A revoked key does not come here: its
            # revocation has taken it out of the cache before.
            stale = known.principal
            return await self._renewals.run(
                key_hash, lambda: self._renewed(key_hash, stale, address)
            )
        principal = await self._find(key_hash, address, wait_s)
        if cached is None:
            self._note_unknown(key_hash, principal)
        else:
            await self._remember(key_hash, principal, address)
        return principal

    def recent(self, secret: str) -> Principal | None:
        """Return the principal of a key that is not looked up again yet, without asking anybody.

        For requests that the event log refuses for a revoked key (`OpenResult.REVOKED`). A
        revocation that Valkey does not have takes effect within `FRESH_S`.
        """
        principal = self._recent.get(hash_key(secret))
        # A key without an id is none that the log could ask for.
        return principal if principal is not None and principal.key_id else None

    async def list(self) -> Sequence[ApiKey]:
        """Return all keys, oldest first."""
        return await self._store.list()

    async def revoke(self, key_id: str) -> Revocation | None:
        """Revoke a key; return the outcome for its connections, or None for an unknown key.

        The store refuses the key from now on, the cache within `FRESH_S`.
        """
        key_hash = await self._store.revoke(key_id)
        if key_hash is None:
            return None
        try:
            async with asyncio.timeout(REVOKING_S):
                # After the store: an authorizer that has just read the key there may still put it
                # back into the cache, but for `FRESH_S` only.
                await self._cache.drop(key_hash)
                closing = await self._connections.revoke(key_id)
        except (UnavailableError, TimeoutError) as error:
            logger.warning("connections of the revoked key %s stay open: %r", key_id, error)
            return Revocation.NO_VALKEY
        return Revocation.CLOSING if closing else Revocation.NO_RELAY

    async def _ask_cache(
        self, key_hash: str, address: str | None
    ) -> tuple[CachedKey | None, float]:
        """Return what the cache knows, None if it is away.

        With it, if it does not know the key, the seconds until the address may try a wrong one.
        """
        try:
            async with asyncio.timeout(CACHE_S):
                cached = await self._cache.get(key_hash)
                if address is None or cached != CachedKey():
                    return cached, 0.0
                return cached, await self._wrong_keys.wait_s(address)
        except (UnavailableError, TimeoutError) as error:
            logger.warning("the cache of keys is away: %s", error)
            return None, 0.0

    async def _find(self, key_hash: str, address: str | None, wait_s: float) -> Principal | None:
        """Return the store's principal of a key; `wait_s` is Valkey's wait for a wrong one.

        Raises
        ------
        WrongKeysError
            The key is wrong, and the address has tried too many of them.
        """
        taken = False
        if address is not None and wait_s == 0:
            wait_s = self._address_lookups.take(address)
            taken = wait_s == 0
        # Right keys get in, however many others behind their address (NAT) are wrong.
        if wait_s > 0 and not await self._known_keys.may_have(key_hash):
            raise WrongKeysError(f"too many wrong keys, the next one in {wait_s:.1f} s")
        principal = await self._store.find(key_hash)
        if taken and address is not None and principal is not None:
            self._address_lookups.put_back(address)
        return principal

    async def _renewed(
        self, key_hash: str, stale: Principal, address: str | None
    ) -> Principal | None:
        """Return the store's principal of a key, or the cache's while the store is away."""
        try:
            principal = await self._lookups.run(lambda: self._store.find(key_hash))
        except UnavailableError:
            return stale
        await self._remember(key_hash, principal, address)
        return principal

    async def _remember(
        self, key_hash: str, principal: Principal | None, address: str | None
    ) -> None:
        """Keep the outcome of a look-up in the cache, or that a key is unknown in this process."""
        if not await self._tell_cache(self._cached(key_hash, principal, address)):
            self._note_unknown(key_hash, principal)

    def _note_unknown(self, key_hash: str, principal: Principal | None) -> None:
        if principal is None:
            self._unknown_keys.note(key_hash)

    async def _cached(
        self, key_hash: str, principal: Principal | None, address: str | None
    ) -> None:
        if principal is not None:
            await self._cache.put(key_hash, principal)
            return
        await self._cache.put_unknown(key_hash)
        if address is not None:
            await self._wrong_keys.count(address)

    async def _tell_cache(self, call: Awaitable[None]) -> bool:
        """Wait for a call of the cache, `CACHE_S` at most; return False if it did not take it."""
        try:
            async with asyncio.timeout(CACHE_S):
                await call
        except (UnavailableError, TimeoutError) as error:
            # Without it, keys are looked up again.
            logger.warning("the cache of keys is away: %s", error)
            return False
        return True
