"""Tenants and their API keys. A key is shown once, when it is made; only its hash is kept."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from axon.exceptions import UnavailableError
from axon.ids import new_id
from axon.tenants.principal import ALL_SCOPES, Principal

KEY_PREFIX = "sk-axon-"
CACHE_S = 1.0
"""Seconds for the cache's answer; a healthy one takes a millisecond."""

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

    async def revoke(self, key_id: str) -> str | None:
        """Revoke a key; return its hash, or None for an unknown key."""
        ...


class PrincipalCache(Protocol):
    """A cache in front of `ApiKeyStore.find`."""

    async def get(self, key_hash: str) -> Principal | None:
        """Return the cached principal of a key, or None."""
        ...

    async def put(self, key_hash: str, principal: Principal) -> None:
        """Cache the principal of a key."""
        ...

    async def drop(self, key_hash: str) -> None:
        """Remove a key from the cache."""
        ...


def hash_key(secret: str) -> str:
    """Return a key's SHA-256 in hex.

    Keys are 192 random bits: a plain hash cannot be searched, a slow one would only cost time.
    Bytes of a header that are no text come as surrogates, and are those of no key.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


class ApiKeys:
    """Creates, authenticates and revokes keys."""

    def __init__(self, *, store: ApiKeyStore, cache: PrincipalCache) -> None:
        self._store = store
        self._cache = cache

    async def create(
        self, *, tenant_id: str, name: str, secret: str | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key; return it and its secret, which is not kept.

        A given `secret` (the local cloud's well-known key) is used as it is.
        """
        secret = secret or KEY_PREFIX + secrets.token_urlsafe(24)
        key = ApiKey(key_id=new_id("key"), tenant_id=tenant_id, name=name, hint=secret[-4:])
        await self._store.add(key, key_hash=hash_key(secret))
        return key, secret

    async def authenticate(self, secret: str) -> Principal | None:
        """Return the principal of a valid key, or None.

        A cache that is away costs `CACHE_S` at most: the store knows all keys.

        Raises
        ------
        UnavailableError
            The store is away, and the cache does not have the key.
        """
        key_hash = hash_key(secret)
        cached = True
        try:
            async with asyncio.timeout(CACHE_S):
                if principal := await self._cache.get(key_hash):
                    return principal
        except (UnavailableError, TimeoutError) as error:
            cached = False
            logger.warning("the cache of keys is away: %s", error)
        principal = await self._store.find(key_hash)
        if principal is not None and cached:
            with suppress(UnavailableError, TimeoutError):
                async with asyncio.timeout(CACHE_S):
                    await self._cache.put(key_hash, principal)
        return principal

    async def list(self) -> Sequence[ApiKey]:
        """Return all keys, oldest first."""
        return await self._store.list()

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key at once; return False for an unknown key."""
        key_hash = await self._store.revoke(key_id)
        if key_hash is None:
            return False
        # After the store, so that no authorizer can put the key back into the cache.
        await self._cache.drop(key_hash)
        return True
