"""The directories in Valkey: relays with leases, models, live client connections."""

from collections.abc import Collection, Sequence
from itertools import chain

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.event_log_codec import place
from axon.adapters.valkey.generation import GENERATION
from axon.adapters.valkey.pages import members_of, page_of, pages
from axon.directory.connections import CONNECTION_LIFE_S, ConnectionDirectory
from axon.directory.models import SILENCE_S, ModelDirectory
from axon.directory.relays import LOST_S, RelayDirectory, TakenOver
from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.models.desired import ModelChanges
from axon.tenants.principal import Principal

_TOMBSTONE_S = 120
"""Longer than a function may handle a message (29 s)."""
_MODELS_AT_ONCE = 100
_LOST_AT_ONCE = 100


class ValkeyRelayDirectory(RelayDirectory):
    """See `axon.directory.relays.RelayDirectory`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        self._lease = Script(valkey, "lease", after=("now_ms",), when_full=True)
        self._take_over = Script(
            valkey, "take_over", after=("generation", "now_ms"), when_full=True
        )
        self._delivered = Script(valkey, "delivered", after=("lanes",), when_full=True)
        self._keep = Script(valkey, "keep", when_full=True)
        # Positions in the sets of dead relays, so that a takeover in many calls reads each once.
        self._cursors: dict[str, int] = {}

    @override
    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        await self._lease(keys=[keys.RELAYS], args=[relay_id, int(lease_s * 1000)])

    @override
    async def end_lease(self, relay_id: str) -> None:
        await self._lease(keys=[keys.RELAYS], args=[relay_id, 0])
        await self._valkey.call("PUBLISH", keys.RELAYS_LEFT, relay_id)

    @override
    async def undelivered(self, relay_id: str) -> set[str]:
        return await members_of(self._valkey, keys.relay_responses(relay_id))

    @override
    async def delivered(
        self, relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        await self._delivered(
            keys=[keys.relay_responses(relay_id), keys.response(response_id)],
            args=[response_id, connection_id or ""],
        )

    @override
    async def note_lost(self, relay_id: str, connection_ids: Collection[str]) -> None:
        noted = sorted(connection_ids)
        for start in range(0, len(noted), _LOST_AT_ONCE):
            fields = [(each, 1) for each in noted[start : start + _LOST_AT_ONCE]]
            await self._keep(keys=[keys.relay_lost(relay_id)], args=[LOST_S, *chain(*fields)])

    @override
    async def lost(self, relay_id: str) -> set[str]:
        noted = await self._valkey.call("HGETALL", keys.relay_lost(relay_id))
        return {connection_id.decode() for connection_id in noted}

    @override
    async def expired(self) -> list[str]:
        return await self._leases_until_now("-inf")

    @override
    async def lapsed(self) -> list[str]:
        return await self._leases_until_now("(0")

    async def _leases_until_now(self, first: str) -> list[str]:
        now = await self._valkey.now_ms()
        members = await self._valkey.call("ZRANGEBYSCORE", keys.RELAYS, first, now)
        return [member.decode() for member in members]

    @override
    async def take_over(
        self, relay_id: str, *, successor_id: str, limit: int = 100
    ) -> list[TakenOver]:
        if relay_id == successor_id:
            return await self._take_over_own(relay_id)
        cursor = self._cursors.pop(relay_id, 0)
        whole_pass = cursor == 0
        while True:
            following, page = await page_of(self._valkey, keys.relay_responses(relay_id), cursor)
            taken_over = await self._take(relay_id, successor_id, limit, page)
            if taken_over:
                # The same page again: the limit may have left some of it.
                self._cursors[relay_id] = cursor
                return taken_over
            if taken_over is None or (following == 0 and whole_pass):
                return []
            cursor, whole_pass = following, whole_pass or following == 0

    async def _take_over_own(self, relay_id: str) -> list[TakenOver]:
        found: dict[str, TakenOver] = {}
        async for page in pages(self._valkey, keys.relay_responses(relay_id)):
            for taken in await self._take(relay_id, relay_id, len(page), page) or ():
                found[taken.response_id] = taken
        return list(found.values())

    async def _take(
        self, relay_id: str, successor_id: str, limit: int, page: Sequence[bytes]
    ) -> list[TakenOver] | None:
        """Take over a page of responses; None if the lease of their relay runs."""
        responses_keys = map(keys.relay_responses, (relay_id, successor_id))
        rows = await self._take_over(
            keys=[keys.RELAYS, *responses_keys],
            args=[relay_id, successor_id, limit, GENERATION, CONNECTION_LIFE_S, *page],
        )
        if rows is None:
            return None
        return [
            TakenOver(
                response_id.decode(),
                connection_id.decode(),
                DeliveryCheckpoint.decode(checkpoint),
                place(position),
            )
            for response_id, connection_id, checkpoint, *position in rows
        ]


class ValkeyModelDirectory(ModelDirectory):
    """See `axon.directory.models.ModelDirectory`."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        self._register = Script(valkey, "register_models", after=("now_ms",), when_full=True)

    @override
    async def register(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        # In batches, because a worker may have thousands of adapters and a script runs alone.
        for start in range(0, len(model_ids), _MODELS_AT_ONCE):
            await self._register(
                keys=[keys.MODELS, keys.MODELS_LAST_SEEN, keys.MODELS_SERVED_SINCE],
                args=[
                    int(retention_s * 1000),
                    int(SILENCE_S * 1000),
                    *model_ids[start : start + _MODELS_AT_ONCE],
                ],
            )

    @override
    async def expect(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        expires = await self._valkey.now_ms() + int(retention_s * 1000)
        for model_id in model_ids:
            await self._valkey.call("ZADD", keys.MODELS, "GT", expires, model_id)

    @override
    async def remove(self, model_ids: tuple[str, ...]) -> None:
        if model_ids:
            await self._valkey.call("ZREM", keys.MODELS, *model_ids)
            await self._valkey.call("ZREM", keys.MODELS_LAST_SEEN, *model_ids)
            await self._valkey.call("ZREM", keys.MODELS_SERVED_SINCE, *model_ids)

    @override
    async def list(self) -> list[str]:
        now = await self._valkey.now_ms()
        members = await self._valkey.call("ZRANGEBYSCORE", keys.MODELS, now, "+inf")
        return sorted(member.decode() for member in members)


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
        # A connection that leaves frees its turns; one that comes waits for memory.
        self._mark_gone = Script(valkey, "keep", when_full=True)
        self._drop_turns = Script(valkey, "drop_turns", after=("held",), when_full=True)

    @override
    async def register(
        self, connection_id: str, *, principal: Principal, cancel_on_disconnect: bool = False
    ) -> None:
        fields = ["tenant_id", principal.tenant_id, "key_id", principal.key_id]
        if cancel_on_disconnect:
            fields += ["cancel_on_disconnect", "1"]
        key = keys.connection(connection_id)
        await self._keep(keys=[key], args=[CONNECTION_LIFE_S, *fields])

    @override
    async def remove(self, connection_id: str) -> None:
        # A tombstone, for messages of this connection that are still being handled. It comes first:
        # from then on no turn is added.
        key = keys.connection(connection_id)
        await self._mark_gone(keys=[key], args=[_TOMBSTONE_S, "gone", 1])
        turns_key = keys.connection_turns(connection_id)
        async for page in pages(self._valkey, turns_key):
            if page:
                await self._drop_turns(keys=[key], args=page)
        await self._valkey.call("UNLINK", turns_key, *keys.connection_held(connection_id))
