"""Caches in Valkey, before tables in PostgreSQL, and what is on its way into these."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.conversations import Turn, TurnCache
from axon.directory.connections import CONNECTION_LIFE_S
from axon.formats import Refused, UnreadableError, log_refusal
from axon.history import HistoryRecord, PendingHistory
from axon.tenants.api_keys import PrincipalCache
from axon.tenants.principal import ALL_SCOPES, Principal, decode_scopes, encode_scopes


class ValkeyTurnCache(TurnCache):
    """See `axon.conversations.TurnCache`.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    ttl_s : float
        Seconds that a stored turn stays after its last use.
    refused : Refused
        Notified of each turn that could not be read.
    """

    def __init__(self, *, valkey: Valkey, ttl_s: float, refused: Refused = log_refusal) -> None:
        self._valkey = valkey
        self._refused = refused
        self._ttl_s = int(ttl_s)
        self._chain = Script(valkey, "chain")
        self._keep_turn = Script(valkey, "put_turn")

    @override
    async def chain(self, response_id: str) -> list[Turn]:
        newest_first = await self._chain(args=[response_id, self._ttl_s])
        turns = list[Turn]()
        for encoded in newest_first:
            try:
                turns.insert(0, Turn.decode(encoded))
            except UnreadableError as error:
                # As if it had been forgotten: it and the older ones are read from the database,
                # which writes them into the cache again in a format that can be read.
                self._refused(error)
                break
        return turns

    @override
    async def put(self, turns: Sequence[Turn]) -> None:
        await asyncio.gather(*(self._put(turn) for turn in turns))

    @override
    async def evict(self, response_id: str) -> None:
        await self._valkey.call("DEL", keys.turn(response_id))

    async def _put(self, turn: Turn) -> None:
        key = keys.turn(turn.response_id)
        fields = (
            *("turn", turn.encode()),
            *("previous", turn.previous_response_id or ""),
            *("connection_id", turn.connection_id or ""),
        )
        # A turn that is not stored has no database behind it.
        life_s = CONNECTION_LIFE_S if turn.connection_id else self._ttl_s
        commands = [self._keep_turn(keys=[key], args=[life_s, *fields])]
        if turn.connection_id:
            turns_key = keys.connection_turns(turn.connection_id)
            commands.append(self._valkey.call("SADD", turns_key, turn.response_id))
            commands.append(self._valkey.call("EXPIRE", turns_key, life_s))
        await asyncio.gather(*commands)


PENDING_LIFE_S = 14 * 24 * 3600
"""As long as SQS keeps a record (its quota, and the queues' setting): no later one can arrive."""


class ValkeyPendingHistory(PendingHistory):
    """See `axon.history.PendingHistory`; a key for each record that has not arrived yet."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey

    @override
    async def add(self, record: HistoryRecord) -> None:
        key = keys.pending_history(record.response_id)
        await self._valkey.call("SET", key, record.tenant_id, "EX", PENDING_LIFE_S)

    @override
    async def tenant_of(self, response_id: str) -> str | None:
        value: bytes | None = await self._valkey.call("GET", keys.pending_history(response_id))
        return None if value is None else value.decode()

    @override
    async def remove(self, response_ids: Sequence[str]) -> None:
        if response_ids:
            await self._valkey.call("DEL", *map(keys.pending_history, response_ids))


class ValkeyPrincipalCache(PrincipalCache):
    """See `axon.tenants.api_keys.PrincipalCache`; a principal stays `ttl_s` seconds."""

    def __init__(self, *, valkey: Valkey, ttl_s: float) -> None:
        self._valkey = valkey
        self._ttl_s = int(ttl_s)

    @override
    async def get(self, key_hash: str) -> Principal | None:
        value: bytes | None = await self._valkey.call("GET", keys.identity(key_hash))
        if value is None:
            return None
        tenant_id, key_id, *scopes = value.decode().split("\n")
        return Principal(
            tenant_id=tenant_id,
            key_id=key_id,
            scopes=decode_scopes(scopes[0]) if scopes else ALL_SCOPES,
        )

    @override
    async def put(self, key_hash: str, principal: Principal) -> None:
        value = f"{principal.tenant_id}\n{principal.key_id}"
        # Left out where they restrict nothing: an authorizer of the version before scopes, which
        # runs on while this one is deployed, takes all that follows the tenant for the key's id.
        if principal.scopes != ALL_SCOPES:
            value += f"\n{encode_scopes(principal.scopes)}"
        await self._valkey.call("SET", keys.identity(key_hash), value, "EX", self._ttl_s)

    @override
    async def drop(self, key_hash: str) -> None:
        await self._valkey.call("DEL", keys.identity(key_hash))
