"""API keys in Valkey: their open connections, which of them are revoked, and wrong ones."""

from collections.abc import Sequence

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.directory.connections import CONNECTION_LIFE_S
from axon.tenants.revocation import (
    CLOSE_AFTER_S,
    VALID_S,
    KeyState,
    OpenConnections,
    RevokedConnection,
)
from axon.tenants.wrong_keys import BURST, INTERVAL_S, WrongKeys

_CLOSER_S = 2.0
"""Seconds after its last look for which a relay has a revoked key to itself."""
_SCRIPTS_OF_A_LOOK = 16
"""Scripts of one look at most, of 32 keys each: 512 keys in a look, 2048 in a second. With more,
the next look begins where this one has ended."""


class ValkeyOpenConnections(OpenConnections):
    """See `axon.tenants.revocation.OpenConnections`.

    A key's connections are a sorted set. A positive score is the time at which the gateway has
    closed the connection at the latest. Once its client is notified that the key is revoked, the
    score is negative: the time at which a relay is to close it. Both in ms, by the server's clock.
    """

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        # A key must be revoked, and a request of a valid one served, also without memory.
        self._note = Script(valkey, "note_connection", after=("now_ms",), when_full=True)
        self._command = Script(valkey, "command", when_full=True)
        self._revoked = Script(valkey, "revoked_connections", after=("now_ms",), when_full=True)
        self._passed_over = 0
        """Revoked keys that the next look passes over: the last one had no room for more."""

    @override
    async def note(self, key_id: str, connection_id: str) -> KeyState:
        state: bytes = await self._note(
            keys=[
                keys.connection(connection_id),
                keys.key_state(key_id),
                keys.key_connections(key_id),
                keys.REVOKED_KEYS,
            ],
            args=[key_id, connection_id, CONNECTION_LIFE_S],
        )
        return KeyState(state.decode())

    @override
    async def state(self, key_id: str) -> KeyState:
        state: bytes | None = await self._valkey.call("GET", keys.key_state(key_id))
        return KeyState((state or b"").decode())

    @override
    async def remove(self, key_id: str, connection_id: str) -> None:
        await self._valkey.call("ZREM", keys.key_connections(key_id), connection_id)

    @override
    async def note_valid(self, key_id: str) -> None:
        key = keys.key_state(key_id)
        # NX: the key may have been revoked since it was looked up.
        await self._write("SET", key, KeyState.VALID.value, "EX", VALID_S, "NX")

    @override
    async def revoke(self, key_id: str) -> bool:
        now = await self._valkey.now_ms()
        # First the state: a connection that is noted from now on is closed with the others.
        revoked = KeyState.REVOKED.value
        await self._write("SET", keys.key_state(key_id), revoked, "EX", CONNECTION_LIFE_S)
        await self._write("ZADD", keys.REVOKED_KEYS, "NX", now, key_id)
        await self._valkey.call("EXPIRE", keys.REVOKED_KEYS, CONNECTION_LIFE_S)
        relays = await self._valkey.call("ZRANGEBYSCORE", keys.RELAYS, now, "+inf", "LIMIT", 0, 1)
        return bool(relays)

    @override
    async def revoked(self, relay_id: str, *, limit: int) -> Sequence[RevokedConnection]:
        found = list[RevokedConnection]()
        for _ in range(_SCRIPTS_OF_A_LOOK):
            found += await self._revoked_page(relay_id, limit=limit - len(found))
            # At the end of the keys, the next look begins again with the first.
            if len(found) == limit or not self._passed_over:
                break
        return found

    async def _revoked_page(self, relay_id: str, *, limit: int) -> list[RevokedConnection]:
        closer_ms, close_after_ms = int(_CLOSER_S * 1000), int(CLOSE_AFTER_S * 1000)
        self._passed_over, rows = await self._revoked(
            keys=[keys.REVOKED_KEYS],
            args=[relay_id, limit, closer_ms, close_after_ms, self._passed_over],
        )
        return [
            RevokedConnection(key_id.decode(), connection_id.decode(), bool(closing), close_at_ms)
            for key_id, connection_id, closing, close_at_ms in rows
        ]

    @override
    async def notified(self, connection: RevokedConnection) -> None:
        # XX: its client may have left meanwhile.
        key, score = keys.key_connections(connection.key_id), -connection.close_at_ms
        await self._write("ZADD", key, "XX", score, connection.connection_id)

    async def _write(self, name: str, key: str, *arguments: object) -> None:
        await self._command(keys=[key], args=[name, *arguments])


class ValkeyWrongKeys(WrongKeys):
    """See `axon.tenants.wrong_keys.WrongKeys`.

    A bucket is one number: when it will be full again (the generic cell rate algorithm). Then its
    key expires, so there are as many as addresses with a wrong key in the last minute.
    """

    def __init__(self, *, valkey: Valkey) -> None:
        self._bucket = Script(valkey, "wrong_keys", after=("now_ms",))

    @override
    async def wait_s(self, address: str) -> float:
        return await self._run(address, cost=0)

    @override
    async def count(self, address: str) -> None:
        await self._run(address, cost=1)

    async def _run(self, address: str, *, cost: int) -> float:
        interval_ms = int(INTERVAL_S * 1000)
        wait_ms: int = await self._bucket(
            keys=[keys.wrong_keys(address)], args=[interval_ms, BURST, cost]
        )
        return wait_ms / 1000
