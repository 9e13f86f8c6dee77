"""The directories in Valkey: relays with leases, models, live client connections."""

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.generation import GENERATION
from axon.directory.connections import CONNECTION_LIFE_S, ConnectionDirectory
from axon.directory.models import ModelDirectory
from axon.directory.relays import RelayDirectory, TakenOver
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.models.desired import ModelChanges
from axon.tenants.principal import Principal

_TOMBSTONE_S = 120
"""Longer than a function may handle a message (29 s)."""


class ValkeyRelayDirectory(RelayDirectory):
    """See `axon.directory.relays.RelayDirectory`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        self._take_over = Script(valkey, "take_over", after=("generation", "now_ms"))
        self._delivered = Script(valkey, "delivered")

    @override
    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        expires = await self._valkey.now_ms() + int(lease_s * 1000)
        await self._valkey.call("ZADD", keys.RELAYS, expires, relay_id)

    @override
    async def end_lease(self, relay_id: str) -> None:
        await self._valkey.call("ZADD", keys.RELAYS, 0, relay_id)
        await self._valkey.call("PUBLISH", keys.RELAYS_LEFT, relay_id)

    @override
    async def undelivered(self, relay_id: str) -> set[str]:
        members = await self._valkey.call("SMEMBERS", keys.relay_responses(relay_id))
        return {member.decode() for member in members}

    @override
    async def delivered(
        self, relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        await self._delivered(
            keys=[keys.relay_responses(relay_id), keys.response(response_id)],
            args=[response_id, connection_id or ""],
        )

    @override
    async def expired(self) -> list[str]:
        now = await self._valkey.now_ms()
        members = await self._valkey.call("ZRANGEBYSCORE", keys.RELAYS, "-inf", now)
        return [member.decode() for member in members]

    @override
    async def take_over(
        self, relay_id: str, *, successor_id: str, limit: int = 100
    ) -> list[TakenOver]:
        responses_keys = map(keys.relay_responses, (relay_id, successor_id))
        rows = await self._take_over(
            keys=[keys.RELAYS, *responses_keys], args=[relay_id, successor_id, limit, GENERATION]
        )
        return [
            TakenOver(
                response_id.decode(), connection_id.decode(), DeliveryCheckpoint.decode(checkpoint)
            )
            for response_id, connection_id, checkpoint in rows
        ]


class ValkeyModelDirectory(ModelDirectory):
    """See `axon.directory.models.ModelDirectory`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey

    @override
    async def register(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        now = await self._add(model_ids, retention_s)
        for model_id in model_ids:
            await self._valkey.call("ZADD", keys.MODELS_LAST_SEEN, "GT", now, model_id)

    @override
    async def expect(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        await self._add(model_ids, retention_s)

    @override
    async def remove(self, model_ids: tuple[str, ...]) -> None:
        if model_ids:
            await self._valkey.call("ZREM", keys.MODELS, *model_ids)
            await self._valkey.call("ZREM", keys.MODELS_LAST_SEEN, *model_ids)

    @override
    async def list(self) -> list[str]:
        now = await self._valkey.now_ms()
        members = await self._valkey.call("ZRANGEBYSCORE", keys.MODELS, now, "+inf")
        return sorted(member.decode() for member in members)

    async def _add(self, model_ids: tuple[str, ...], retention_s: float) -> int:
        """Make models known; return the server's time."""
        now = await self._valkey.now_ms()
        expires = now + int(retention_s * 1000)
        for model_id in model_ids:
            await self._valkey.call("ZADD", keys.MODELS, "GT", expires, model_id)
        return now


class ValkeyModelChanges(ModelChanges):
    """See `axon.models.desired.ModelChanges`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey

    @override
    async def publish(self) -> None:
        # Not empty: that is a subscriber's own pulse.
        await self._valkey.call("PUBLISH", keys.MODELS_CHANGED, b"changed")


class ValkeyConnectionDirectory(ConnectionDirectory):
    """See `axon.directory.connections.ConnectionDirectory`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        self._keep = Script(valkey, "keep")

    @override
    async def register(self, connection_id: str, *, principal: Principal) -> None:
        fields = ["tenant_id", principal.tenant_id, "key_id", principal.key_id]
        key = keys.connection(connection_id)
        await self._keep(keys=[key], args=[CONNECTION_LIFE_S, *fields])

    @override
    async def remove(self, connection_id: str) -> None:
        turns_key = keys.connection_turns(connection_id)
        turns = await self._valkey.call("SMEMBERS", turns_key)
        await self._valkey.call("DEL", turns_key, *(keys.turn(turn.decode()) for turn in turns))
        # A tombstone, for messages of this connection that are still being handled.
        key = keys.connection(connection_id)
        await self._keep(keys=[key], args=[_TOMBSTONE_S, "gone", 1])
