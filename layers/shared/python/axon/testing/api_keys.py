"""API keys' open connections and wrong keys in memory; times are the event loop's."""

import asyncio
from collections.abc import Sequence
from math import ceil

from typing_extensions import override

from axon.tenants.revocation import (
    CLOSE_AFTER_S,
    VALID_S,
    KeyState,
    OpenConnections,
    RevokedConnection,
)
from axon.tenants.wrong_keys import BURST, INTERVAL_S, WrongKeys


class FakeOpenConnections(OpenConnections):
    """Connections of each key, and when the clients of revoked keys are closed.

    `has_relay` is what `revoke` answers; `lose` forgets what was revoked, as a failover does.
    """

    def __init__(self) -> None:
        self.has_relay = True
        self._open: dict[str, dict[str, float | None]] = {}
        self._valid_until: dict[str, float] = {}
        self._revoked_at: dict[str, float] = {}
        self._draining: dict[str, float] = {}
        self._relays: dict[str, str] = {}

    def connections_of(self, key_id: str) -> set[str]:
        """Return the connections that a key has open."""
        return set(self._open.get(key_id, ()))

    def lose(self) -> None:
        """Forget what was revoked."""
        self._revoked_at.clear()
        self._draining.clear()

    @override
    async def note(self, key_id: str, connection_id: str) -> KeyState:
        state = self._state(key_id)
        known = self._open.setdefault(key_id, {})
        if connection_id not in known:
            known[connection_id] = None
            if state is KeyState.REVOKED:
                self._draining.setdefault(key_id, _now())
        return state

    @override
    async def state(self, key_id: str) -> KeyState:
        return self._state(key_id)

    @override
    async def remove(self, key_id: str, connection_id: str) -> None:
        self._open.get(key_id, {}).pop(connection_id, None)

    @override
    async def note_valid(self, key_id: str) -> None:
        self._valid_until[key_id] = _now() + VALID_S

    @override
    async def revoke(self, key_id: str) -> bool:
        self._revoked_at[key_id] = _now()
        self._draining.setdefault(key_id, _now())
        return self.has_relay

    @override
    async def revoked(self, relay_id: str, *, limit: int) -> Sequence[RevokedConnection]:
        found: list[RevokedConnection] = []
        draining = list(self._draining.items())
        for position, (key_id, revoked_at) in enumerate(draining):
            if not self._open.get(key_id):
                del self._draining[key_id]
            elif self._relays.setdefault(key_id, relay_id) == relay_id:
                share = ceil((limit - len(found)) / (len(draining) - position))
                due = self._due(key_id, revoked_at + CLOSE_AFTER_S)[:share]
                found += due
                if due:  # the next look begins with the others
                    self._draining[key_id] = self._draining.pop(key_id)
        return found

    @override
    async def notified(self, connection: RevokedConnection) -> None:
        known = self._open.get(connection.key_id, {})
        if connection.connection_id in known:
            known[connection.connection_id] = connection.close_at_ms / 1000

    def _state(self, key_id: str) -> KeyState:
        if key_id in self._revoked_at:
            return KeyState.REVOKED
        valid = self._valid_until.get(key_id, 0) > _now()
        return KeyState.VALID if valid else KeyState.UNKNOWN

    def _due(self, key_id: str, close_at: float) -> list[RevokedConnection]:
        known = self._open[key_id].items()
        closing = [each for each, at in known if at is not None and at <= _now()]
        unnotified = [each for each, at in known if at is None]
        return [
            RevokedConnection(key_id, each, each in closing, int(close_at * 1000))
            for each in [*closing, *unnotified]
        ]


class FakeWrongKeys(WrongKeys):
    """A token bucket for each address; nothing is forgotten."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}

    @override
    async def wait_s(self, address: str) -> float:
        full = max(_now(), self._full_at.get(address, 0))
        return max(0.0, full - _now() - INTERVAL_S * (BURST - 1))

    @override
    async def count(self, address: str) -> None:
        full = max(_now(), self._full_at.get(address, 0)) + INTERVAL_S
        self._full_at[address] = min(full, _now() + INTERVAL_S * BURST)


def _now() -> float:
    return asyncio.get_running_loop().time()
