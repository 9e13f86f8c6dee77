"""Revoked keys: which connections a key has open, and the refusal of requests on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from axon.exceptions import RequestError, UnavailableError
from axon.tenants.lookups import BriefLookups
from axon.tenants.principal import Principal

VALID_S = 4
"""Seconds for which a key that the store has is not looked up again: a revocation that Valkey did
not get, or has lost, takes effect within them."""
CLOSE_AFTER_S = 4.3
"""Seconds from a revocation to the close of the key's connections: a client that sends a request in
between learns why it is refused. A relay looks four times a second, so 5 s are kept."""

REVOKED = RequestError(
    "The API key of this connection has been revoked. Connect again with a valid API key.",
    code="invalid_api_key",
    status=401,
)
REVOKED_KEY = RequestError(
    "The API key has been revoked. Send a valid one.", code="invalid_api_key", status=401
)


class KeyState(Enum):
    """State of a key as far as it is known without the store."""

    VALID = "valid"
    REVOKED = "revoked"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class RevokedConnection:
    """An open connection whose key is revoked.

    Parameters
    ----------
    key_id, connection_id : str
        The key, and the connection that was opened with it.
    closing : bool
        True once its client is notified, and `CLOSE_AFTER_S` have passed.
    close_at_ms : int
        When it is to be closed, by the server's clock.
    """

    key_id: str
    connection_id: str
    closing: bool
    close_at_ms: int


class OpenConnections(Protocol):
    """The open connections of each key, and the keys that were revoked lately.

    Kept in Valkey; a fake in `axon.testing`.
    """

    async def note(self, key_id: str, connection_id: str) -> KeyState:
        """Note that a key has a connection open, unless that is known; return the key's state.

        The connection of a revoked key is closed, as are those that were open before.
        """
        ...

    async def state(self, key_id: str) -> KeyState:
        """Return the state of a key whose requests need no connection to be noted."""
        ...

    async def remove(self, key_id: str, connection_id: str) -> None:
        """Remove a connection that is closed."""
        ...

    async def note_valid(self, key_id: str) -> None:
        """Note that the store has the key, for `VALID_S`; a revoked key stays revoked."""
        ...

    async def revoke(self, key_id: str) -> bool:
        """Make a relay close the key's connections; return False if no relay runs."""
        ...

    async def revoked(self, relay_id: str, *, limit: int) -> Sequence[RevokedConnection]:
        """Return connections of revoked keys for this relay to work on, at most `limit`.

        One relay works on a key at a time. Connections whose client is notified are returned
        again when they are to be closed. The next call begins with the keys for which this one
        has no room: none waits for a key that is revoked before it.
        """
        ...

    async def notified(self, connection: RevokedConnection) -> None:
        """Note that the connection's client is notified."""
        ...


class KeyStore(Protocol):
    """The part of the store that `KeyCheck` reads; see `axon.tenants.api_keys.ApiKeyStore`."""

    async def is_valid(self, key_id: str) -> bool:
        """Return whether the key exists and is not revoked."""
        ...


class KeyCheck:
    """Refuses requests of keys that were revoked while their connections are open.

    API Gateway authorizes a connection once. The state of its key comes from Valkey, with the
    round trip that notes the connection, and from the store every `VALID_S` seconds. While the
    store is away, requests are served: without it, no key can be revoked either.

    Parameters
    ----------
    connections : OpenConnections
        Knows what was revoked.
    store : KeyStore
        Has all keys, and all revocations.
    """

    def __init__(self, *, connections: OpenConnections, store: KeyStore) -> None:
        self._connections = connections
        self._store = store
        self._lookups = BriefLookups()

    async def require_valid(self, principal: Principal, *, connection_id: str) -> None:
        """Return if the principal's key may go on making requests on the connection.

        Raises
        ------
        RequestError
            The key is revoked; its connections are being closed.
        UnavailableError
            Valkey is away, without which no request can be served.
        """
        key_id = principal.key_id
        if not key_id:
            return  # opened before keys were recorded
        if await self._is_revoked(key_id, await self._connections.note(key_id, connection_id)):
            raise REVOKED

    async def is_revoked(self, key_id: str) -> bool:
        """Return whether a key was revoked since its request was authenticated.

        Raises
        ------
        UnavailableError
            Valkey is away.
        """
        return await self._is_revoked(key_id, await self._connections.state(key_id))

    async def _is_revoked(self, key_id: str, state: KeyState) -> bool:
        if state is KeyState.UNKNOWN:
            state = await self._look_up(key_id)
        return state is KeyState.REVOKED

    async def _look_up(self, key_id: str) -> KeyState:
        try:
            valid = await self._lookups.run(lambda: self._store.is_valid(key_id))
        except UnavailableError:
            valid = True
        if valid:
            await self._connections.note_valid(key_id)
            return KeyState.VALID
        # Valkey was away when the key was revoked, or has lost that in a failover.
        await self._connections.revoke(key_id)
        return KeyState.REVOKED
