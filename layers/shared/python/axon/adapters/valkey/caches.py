"""Caches in Valkey, before tables in PostgreSQL, and what is on its way into these."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from typing_extensions import override

from axon.adapters.aws.batching import Batcher
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Script, Valkey
from axon.conversations import EditableTurnCache, Turn, TurnHead
from axon.exceptions import StoreFullError
from axon.formats import Refused, UnreadableError, log_refusal
from axon.history import HistoryRecord, PendingHistory
from axon.tenants.api_keys import CachedKey, PrincipalCache
from axon.tenants.known_keys import REFRESH_S
from axon.tenants.principal import ALL_SCOPES, Principal, decode_scopes, encode_scopes
from axon.tenants.process_counts import UNKNOWN_S

UNUSED_MS = 10_000
"""Milliseconds for which a turn stays after its use: the worker may be about to read it."""
CHANGED_S = 120
"""Seconds for which no copy is taken of a turn that was changed in the database: a reader's
transaction takes 30 s at most (`axon.adapters.postgres.pool`), and each put 5 s. Until they are
over, requests read this turn and those before it from the database."""
LARGEST_TURN_BYTES = 2 * 2**20
"""Longest stored turn that is cached. Turns of responses are shorter: a large input is a payload in
them, but for those that the database gives back."""
PAGE_TURNS = 16
"""Turns that are read at a time: with 100 KB each, Valkey copies them in less than 1 ms."""
KNOWN_S = 2 * REFRESH_S
"""Seconds for which a principal stays after its last look-up: a new key is in the lists of all
processes after `REFRESH_S`."""
_CONTENT = ("turn", "head", "previous", "before", "connection_id", "tenant_id")
"""Fields of a turn; readers find none without `previous`."""
_UNKNOWN_CONNECTION_S = 600
"""Seconds that an unstored turn is kept whose connection Valkey does not know: its client has left,
or a failover has lost the connection's key, which the client's next request writes again."""
_READS = 256
"""Most requests that share one read of their keys."""

_Fields = list[bytes | None]


class ValkeyTurnCache(EditableTurnCache):
    """See `axon.conversations.EditableTurnCache`.

    A turn knows the ids of the `PAGE_TURNS` turns before it. So a conversation is read in pages of
    plain reads, and other clients are served in between: one script that read all of it blocked
    Valkey for 189 ms (500 turns of 100 KB). Turns that the version before has written know only
    the one turn before them, and are read one at a time.

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
        self._put = Script(valkey, "put_turn", after=("now_ms", "held"))
        # Nobody else has an unstored turn, and with it the job of its response is freed.
        self._put_unstored = Script(valkey, "put_turn", after=("now_ms", "held"), when_full=True)
        self._drop = Script(valkey, "drop_turns", after=("held",), when_full=True)
        self._mark = Script(valkey, "command", when_full=True)

    @override
    async def chain(self, response_id: str) -> list[Turn]:
        turns = list[Turn]()
        async for _, encoded in self._walk(response_id, "turn"):
            # Other tasks run between two turns: to decode a page of them may take a second.
            await asyncio.sleep(0)
            try:
                turns.append(Turn.decode(encoded or b""))
            except UnreadableError as error:
                # As if it had been forgotten: it and the older ones are read from the database,
                # which writes them into the cache again in a format that can be read.
                self._refused(error)
                break
        with suppress(StoreFullError):  # a note of their use is no reason to refuse the reader
            await self._note_use([turn for turn in turns if turn.connection_id is None])
        return turns[::-1]

    @override
    async def heads(self, response_id: str) -> list[TurnHead]:
        heads = list[TurnHead]()
        async for turn_id, encoded in self._walk(response_id, "head"):
            try:
                heads.append(await self._head(turn_id, encoded))
            except UnreadableError as error:
                self._refused(error)
                break
        return heads[::-1]

    @override
    async def put(self, turns: Sequence[Turn]) -> None:
        if len(turns) == 1:  # a response that ends: no task for it
            with suppress(StoreFullError):
                await self._put_one(turns[0])
            return
        # In order, for a turn finds the ids of earlier ones in the turn before it.
        for page in range(0, len(turns), PAGE_TURNS):
            # Without memory, stored turns are left to the database, which has them or gets them.
            with suppress(StoreFullError):
                await asyncio.gather(*map(self._put_one, turns[page : page + PAGE_TURNS]))

    @override
    async def evict(self, response_id: str) -> None:
        turn = keys.turn(response_id)
        connection_id: bytes | None = await self._valkey.call("HGET", turn, "connection_id")
        if connection_id:
            # Also releases the bytes that the tenant holds with an unstored turn.
            await self._drop(keys=[keys.connection(connection_id.decode())], args=[response_id])
        else:
            await self._valkey.call("DEL", turn)
            await self._valkey.call("ZREM", keys.TURNS, response_id)

    @override
    async def forget(self, response_id: str) -> None:
        turn = keys.turn(response_id)
        # First the marker: from then on no script puts the turn, and none has to be undone.
        await self._mark(keys=[turn], args=["HSET", "deleted", 1])
        await self._valkey.call("HDEL", turn, *_CONTENT)
        await self._valkey.call("EXPIRE", turn, CHANGED_S)
        await self._valkey.call("ZREM", keys.TURNS, response_id)

    async def _note_use(self, turns: Sequence[Turn]) -> None:
        """Keep stored turns for another while, and from being evicted as the longest unused."""
        if not turns:
            return
        now = await self._valkey.now_ms()
        until, cached = now + self._ttl_s * 1000, keys.cached(turns[0].tenant_id)
        used = [part for turn in turns for part in (now, turn.response_id)]
        held = [part for turn in turns for part in (until, f"turn:{turn.response_id}")]
        await asyncio.gather(
            *(self._valkey.call("EXPIRE", keys.turn(t.response_id), self._ttl_s) for t in turns),
            self._valkey.call("EXPIRE", keys.TURNS, self._ttl_s),
            self._valkey.call("ZADD", keys.TURNS, "XX", *used),
            self._valkey.call("ZADD", cached, "XX", *held),
        )

    async def _put_one(self, turn: Turn) -> None:
        connection_id, previous = turn.connection_id or "", turn.previous_response_id or ""
        encoded = turn.encode()
        if len(encoded) > LARGEST_TURN_BYTES and not connection_id:
            return  # it comes from the database, and is read from there
        put = self._put_unstored if connection_id else self._put
        await put(
            keys=[
                keys.turn(turn.response_id),
                keys.turn(previous),
                keys.connection(connection_id),
                keys.connection_turns(connection_id),
                keys.TURNS,
            ],
            args=[
                turn.response_id,
                previous,
                connection_id,
                encoded,
                TurnHead.of(turn, size=len(encoded)).encode(),
                self._ttl_s,
                _UNKNOWN_CONNECTION_S,
                PAGE_TURNS,
                turn.tenant_id,
                UNUSED_MS,
            ],
        )

    async def _walk(self, response_id: str, field: str) -> AsyncIterator[tuple[str, bytes | None]]:
        """Yield the id and a field of each turn that is kept, newest first."""
        page, expected = [response_id], response_id
        while expected:
            for turn_id, (value, previous, before) in zip(
                page, await self._read(page, field), strict=True
            ):
                if previous is None or turn_id != expected:  # not kept
                    return
                yield turn_id, value
                expected = previous.decode()
                page = (before or previous).decode().split()

    async def _read(self, page: list[str], field: str) -> list[_Fields]:
        reads = (
            self._valkey.call("HMGET", keys.turn(turn_id), field, "previous", "before")
            for turn_id in page
        )
        return list(await asyncio.gather(*reads))

    async def _head(self, turn_id: str, encoded: bytes | None) -> TurnHead:
        if encoded is not None:
            return TurnHead.decode(encoded)
        # The version before has written it, or it has just expired.
        whole: bytes | None = await self._valkey.call("HGET", keys.turn(turn_id), "turn")
        return TurnHead.of(Turn.decode(whole or b""), size=len(whole or b""))


PENDING_LIFE_S = 14 * 24 * 3600
"""As long as SQS keeps a record (its quota, and the queues' setting): no later one can arrive."""


class ValkeyPendingHistory(PendingHistory):
    """See `axon.history.PendingHistory`; a key for each record that has not arrived yet."""

    def __init__(self, *, valkey: Valkey) -> None:
        self._valkey = valkey
        self._command = Script(valkey, "command", when_full=True)

    @override
    async def add(self, record: HistoryRecord) -> None:
        key = keys.pending_history(record.response_id)
        await self._command(keys=[key], args=["SET", record.tenant_id, "EX", PENDING_LIFE_S])

    @override
    async def tenant_of(self, response_id: str) -> str | None:
        value: bytes | None = await self._valkey.call("GET", keys.pending_history(response_id))
        return None if value is None else value.decode()

    @override
    async def remove(self, response_ids: Sequence[str]) -> None:
        if response_ids:
            await self._valkey.call("DEL", *map(keys.pending_history, response_ids))


class ValkeyPrincipalCache(PrincipalCache):
    """See `axon.tenants.api_keys.PrincipalCache`.

    An authorizer of the version before accepts what is here as long as it is.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    ttl_s : float
        Seconds that a principal stays; its age follows from what is left of them.
    """

    def __init__(self, *, valkey: Valkey, ttl_s: float = KNOWN_S) -> None:
        self._valkey = valkey
        self._ttl_s = int(ttl_s)
        # What is asked for while one of these reads is under way waits for the next: so a busy key
        # is read once for many requests, and never before a request came, as its revocation counts
        # from then on.
        self._reads: Batcher[str, CachedKey] = Batcher(
            self._read_all, size=_READS, drop_cancelled=True
        )

    @override
    async def get(self, key_hash: str) -> CachedKey:
        return await self._reads.submit(key_hash)

    async def _read_all(self, key_hashes: Sequence[str]) -> list[CachedKey]:
        different = dict.fromkeys(key_hashes)
        read = await asyncio.gather(*map(self._read, different))
        known = dict(zip(different, read, strict=True))
        return [known[key_hash] for key_hash in key_hashes]

    async def _read(self, key_hash: str) -> CachedKey:
        key = keys.identity(key_hash)
        # In one write, so it takes one round trip.
        value, left_s, unknown = await asyncio.gather(
            self._valkey.call("GET", key),
            self._valkey.call("TTL", key),
            self._valkey.call("EXISTS", keys.unknown_key(key_hash)),
        )
        if value is None:
            return CachedKey(unknown=bool(unknown))
        return CachedKey(_principal(value), age_s=max(0, self._ttl_s - left_s))

    @override
    async def put(self, key_hash: str, principal: Principal) -> None:
        value = f"{principal.tenant_id}\n{principal.key_id}"
        # Left out where they restrict nothing: an authorizer of the version before scopes, which
        # runs on while this one is deployed, takes all that follows the tenant for the key's id.
        if principal.scopes != ALL_SCOPES:
            value += f"\n{encode_scopes(principal.scopes)}"
        await self._valkey.call("SET", keys.identity(key_hash), value, "EX", self._ttl_s)

    @override
    async def put_unknown(self, key_hash: str) -> None:
        await self._valkey.call("DEL", keys.identity(key_hash))
        await self._valkey.call("SET", keys.unknown_key(key_hash), b"", "EX", int(UNKNOWN_S))

    @override
    async def drop(self, key_hash: str) -> None:
        await self._valkey.call("DEL", keys.identity(key_hash), keys.unknown_key(key_hash))


def _principal(value: bytes) -> Principal:
    tenant_id, key_id, *scopes = value.decode().split("\n")
    return Principal(
        tenant_id=tenant_id,
        key_id=key_id,
        scopes=decode_scopes(scopes[0]) if scopes else ALL_SCOPES,
    )
