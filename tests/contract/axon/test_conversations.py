"""Turns: the cache, the database, and conversations read through one from the other."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from axon.adapters.postgres.pool import Pool
from axon.adapters.postgres.stores import PostgresHistoryStore, PostgresTurnStore
from axon.adapters.valkey import keys
from axon.adapters.valkey.caches import CHANGED_S, ValkeyPendingHistory, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.conversations import Conversations, Turn, TurnCache, TurnHead, TurnStore
from axon.exceptions import HistoryPendingError, RequestError
from axon.history import HistoryRecord, PendingHistory
from axon.responses.finisher import ResponseFinisher
from axon.testing.stores import FakeHistory, FakePendingHistory, FakeTurns
from tests.contract.conftest import Kind
from tests.support.principals import a_principal

HERE = {"tenant_id": "t", "connection_id": "c"}


def turn(number: int, *, tenant_id: str = "t", connection_id: str | None = None) -> Turn:
    return Turn(
        response_id=f"resp_{number}",
        previous_response_id=f"resp_{number - 1}" if number else None,
        conversation_id="conv",
        tenant_id=tenant_id,
        connection_id=connection_id,
        input=[{"type": "message", "role": "user", "content": f"{number}: wörld 🌍"}],
        output=[{"type": "message", "role": "assistant", "content": [{"n": number}]}],
    )


def record(made: Turn, *, status: str = "completed") -> HistoryRecord:
    return HistoryRecord(
        **made.model_dump(exclude={"connection_id", "output"}),
        version=1,
        created_ms=1_700_000_000_000,
        ended_ms=1_700_000_001_000,
        response={"model": "echo", "status": status, "output": made.output},
    )


@dataclass(frozen=True, kw_only=True)
class Stores:
    cache: TurnCache
    database: TurnStore
    write: Callable[[Sequence[Turn]], Awaitable[None]]
    pending: PendingHistory

    @property
    def conversations(self) -> Conversations:
        return Conversations(cache=self.cache, database=self.database, pending=self.pending)

    async def numbers(self, response_id: str, **who: str) -> list[int] | None:
        turns = await self.conversations.chain(response_id, **HERE | who)
        return None if turns is None else [numbered(made) for made in turns]


def numbered(made: Turn) -> int:
    return int(made.response_id.removeprefix("resp_"))


@pytest.fixture
def stores(kind: Kind, request: pytest.FixtureRequest) -> Stores:
    if kind == "fake":
        database = FakeTurns()
        return Stores(
            cache=FakeTurns(), database=database, write=database.put, pending=FakePendingHistory()
        )
    valkey: Valkey = request.getfixturevalue("valkey")
    pool: Pool = request.getfixturevalue("pool")
    history = PostgresHistoryStore(pool=pool)
    return Stores(
        cache=ValkeyTurnCache(valkey=valkey, ttl_s=60),
        database=PostgresTurnStore(pool=pool),
        write=lambda turns: history.write([record(made) for made in turns]),
        pending=ValkeyPendingHistory(valkey=valkey),
    )


class TestTurnStore:
    @pytest.mark.parametrize("front", [True, False])
    async def test_returns_a_chain_oldest_first(self, stores: Stores, front: bool) -> None:
        turns = [turn(0), turn(1), turn(2)]
        await (stores.cache.put(turns) if front else stores.write(turns))
        store = stores.cache if front else stores.database
        assert await store.chain("resp_2") == turns
        assert await store.chain("resp_1") == turns[:2]
        assert await store.chain("resp_9") == []

    @pytest.mark.parametrize("front", [True, False])
    async def test_returns_the_newest_part_of_a_broken_chain(
        self, stores: Stores, front: bool
    ) -> None:
        turns = [turn(0), turn(2), turn(3)]
        await (stores.cache.put(turns) if front else stores.write(turns))
        store = stores.cache if front else stores.database
        assert await store.chain("resp_3") == turns[1:]
        assert await store.chain("resp_1") == []

    async def test_forgets_an_evicted_turn(self, stores: Stores) -> None:
        await stores.cache.put([turn(0), turn(1)])
        await stores.cache.evict("resp_0")
        await stores.cache.evict("resp_unknown")
        assert await stores.cache.chain("resp_1") == [turn(1)]

    async def test_keeps_the_newer_version_of_a_turn(self, stores: Stores) -> None:
        await stores.cache.put([turn(0)])
        newer = turn(0).model_copy(update={"output": []})
        await stores.cache.put([newer])
        assert await stores.cache.chain("resp_0") == [newer]

    async def test_takes_no_copy_of_a_turn_that_was_changed_behind_it(self, stores: Stores) -> None:
        assert isinstance(stores.cache, ValkeyTurnCache | FakeTurns)
        turns = [turn(0), turn(1), turn(2)]
        await stores.cache.put(turns)
        await stores.cache.forget("resp_1")
        if isinstance(stores.cache, ValkeyTurnCache):
            # Until it expires, each request reads the older turns from the database.
            left_s = await stores.cache._valkey.call("TTL", keys.turn("resp_1"))
            assert CHANGED_S - 30 < left_s <= CHANGED_S
        await stores.cache.put([turn(1)])  # by a reader that has read the database before
        assert await stores.cache.chain("resp_2") == [turn(2)]
        assert await stores.cache.heads("resp_2") == [TurnHead.of(turn(2))]
        changed = turn(1).model_copy(update={"input": []})
        await stores.write([turn(0), changed])
        assert await stores.conversations.chain("resp_2", **HERE) == [turn(0), changed, turn(2)]


class TestTurnHeads:
    @pytest.mark.parametrize("length", [1, 2, 16, 17, 18, 40])
    async def test_are_those_of_the_chain(self, stores: Stores, length: int) -> None:
        turns = [turn(number) for number in range(length)]
        await stores.cache.put(turns)
        last = turns[-1].response_id
        assert await stores.cache.chain(last) == turns
        assert await stores.cache.heads(last) == [TurnHead.of(each) for each in turns]
        assert await stores.cache.heads("resp_unknown") == []

    async def test_name_the_function_calls_of_a_turn(self, stores: Stores) -> None:
        call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
        made = turn(0).model_copy(update={"input": [call], "output": [call | {"call_id": "b"}]})
        await stores.cache.put([made])
        (head,) = await stores.cache.heads("resp_0")
        assert head.call_ids == ("call_1", "b")

    async def test_accept_what_the_chain_accepts(self, stores: Stores) -> None:
        conversations = stores.conversations

        async def both(response_id: str, **who: str) -> list[str]:
            heads = await conversations.heads_before(response_id, **HERE | who)
            turns = await conversations.turns_before(response_id, **HERE | who)
            assert heads == [TurnHead.of(each) for each in turns]
            return [head.response_id for head in heads]

        ids = ["0197fa3c" + "0" * 23 + str(number) for number in range(2)]
        first = turn(0).model_copy(update={"response_id": f"resp_{ids[0]}"})
        second = turn(1, connection_id="c").model_copy(
            update={
                "response_id": f"resp_{ids[1]}",
                "previous_response_id": first.response_id,
            }
        )
        await stores.write([first])
        await stores.cache.put([second])
        for _ in range(2):  # from the database, then from the cache that was filled from it
            assert await both(second.response_id) == [first.response_id, second.response_id]
        for who in ({"tenant_id": "other"}, {"connection_id": "other"}):
            for read in (conversations.heads_before, conversations.turns_before):
                with pytest.raises(RequestError, match="not found"):
                    await read(second.response_id, **HERE | who)


class TestConversations:
    async def test_know_no_unknown_response(self, stores: Stores) -> None:
        assert await stores.numbers("resp_0") is None

    @pytest.mark.parametrize("cached", [[], [2], [1, 2], [0, 1, 2]])
    async def test_read_from_the_database_what_the_cache_has_lost(
        self, stores: Stores, cached: list[int]
    ) -> None:
        await stores.write([turn(0), turn(1), turn(2)])
        await stores.cache.put([turn(number) for number in cached])
        assert await stores.numbers("resp_2") == [0, 1, 2]
        assert len(await stores.cache.chain("resp_2")) == 3

    async def test_join_the_cache_to_the_database(self, stores: Stores) -> None:
        await stores.write([turn(0)])
        await stores.cache.put([turn(1)])
        assert await stores.numbers("resp_1") == [0, 1]

    async def test_hide_a_chain_without_its_beginning(self, stores: Stores) -> None:
        await stores.cache.put([turn(2)])
        await stores.write([turn(1)])
        assert await stores.numbers("resp_2") is None
        assert await stores.numbers("resp_1") is None

    @pytest.mark.parametrize("behind", [[0, 1], [1], [0]])
    async def test_say_that_a_turn_is_on_its_way(self, stores: Stores, behind: list[int]) -> None:
        """The history is further behind than the cache keeps turns."""
        for number in range(2):
            if number in behind:
                await stores.pending.add(record(turn(number)))
            else:
                await stores.write([turn(number)])
        with pytest.raises(HistoryPendingError) as caught:
            await stores.numbers("resp_1")
        assert (caught.value.retry_after_s, caught.value.param) == (5, "previous_response_id")
        assert "'resp_1' is not stored yet" in caught.value.message
        # Neither one that never was, nor another tenant's.
        assert await stores.numbers("resp_9") is None
        assert await stores.numbers("resp_1", tenant_id="other") is None
        await stores.write([turn(number) for number in behind])
        await stores.pending.remove([f"resp_{number}" for number in behind])
        assert await stores.numbers("resp_1") == [0, 1]
        assert await stores.numbers("resp_9") is None

    async def test_forget_notes_of_turns_that_the_database_has(self, stores: Stores) -> None:
        """Valkey was away when they arrived: the notes would stay for 14 days."""
        await stores.write([turn(0), turn(1)])
        for number in range(3):
            await stores.pending.add(record(turn(number)))
        assert await stores.numbers("resp_1") == [0, 1]
        notes = [await stores.pending.tenant_of(f"resp_{number}") for number in range(3)]
        assert notes == [None, None, "t"]

    async def test_hide_the_chain_from_another_tenant(self, stores: Stores) -> None:
        await stores.write([turn(0)])
        await stores.cache.put([turn(1)])
        assert await stores.numbers("resp_1", tenant_id="other") is None
        assert await stores.numbers("resp_0", tenant_id="other") is None
        assert await stores.numbers("resp_1") == [0, 1]

    async def test_hide_a_chain_with_a_foreign_turn(self, stores: Stores) -> None:
        await stores.cache.put([turn(0, tenant_id="other"), turn(1)])
        assert await stores.numbers("resp_1") is None

    async def test_show_an_unstored_turn_to_its_connection_only(self, stores: Stores) -> None:
        await stores.cache.put([turn(0), turn(1, connection_id="c"), turn(2)])
        assert await stores.numbers("resp_2") == [0, 1, 2]
        assert await stores.numbers("resp_2", connection_id="other") is None
        assert await stores.numbers("resp_1", connection_id="other") is None
        assert await stores.numbers("resp_0", connection_id="other") == [0]

    async def test_lose_only_an_unstored_parent_of_a_failed_continuation(
        self, stores: Stores
    ) -> None:
        unstored, stored = (
            turn(0, connection_id="c"),
            turn(0).model_copy(update={"response_id": "resp_8"}),
        )
        finisher = ResponseFinisher(history=FakeHistory(), turns=stores.cache)
        for made in (unstored, stored):
            await stores.cache.put([made])
            await finisher.evict_parent([made])
        assert await stores.cache.chain("resp_0") == []
        assert await stores.cache.chain("resp_8") == [stored]


class TestValkeyAndPostgres:
    async def test_remove_unstored_turns_with_their_connection(self, valkey: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        connections = ValkeyConnectionDirectory(valkey=valkey)
        await connections.register("c", principal=a_principal())
        mine = [turn(0, connection_id="c"), turn(1, connection_id="c")]
        others = turn(5, connection_id="d").model_copy(update={"previous_response_id": None})
        stored = turn(7).model_copy(update={"previous_response_id": None})
        await cache.put([*mine, others, stored])
        await connections.remove("c")
        assert await cache.chain("resp_1") == []
        assert await cache.chain("resp_0") == []
        assert await cache.chain("resp_5") == [others]
        assert await cache.chain("resp_7") == [stored]

    async def test_expire_cached_turns(self, valkey: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        await ValkeyConnectionDirectory(valkey=valkey).register("c", principal=a_principal())
        await cache.put([turn(0), turn(1, connection_id="c")])
        assert 0 < await valkey.call("TTL", "axon:turn:resp_0") <= 60
        assert await valkey.call("TTL", "axon:turn:resp_1") > 7200
        assert await valkey.call("TTL", "axon:connection:c:turns") > 7200

    async def test_read_turns_of_the_version_before(self, valkey: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        old = [turn(number) for number in range(3)]
        for each in old:
            await valkey.call(
                *("HSET", f"axon:turn:{each.response_id}", "turn", each.encode()),
                *("previous", each.previous_response_id or "", "connection_id", ""),
            )
        new = [turn(3), turn(4)]
        await cache.put(new)
        assert await cache.chain("resp_4") == [*old, *new]
        assert await cache.heads("resp_4") == [TurnHead.of(each) for each in (*old, *new)]

    async def test_keep_no_unstored_turn_after_its_client_has_left(self, valkey: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        connections = ValkeyConnectionDirectory(valkey=valkey)
        await connections.register("c", principal=a_principal())
        await connections.remove("c")
        await cache.put([turn(0, connection_id="c")])  # its response ended later
        assert await cache.chain("resp_0") == []
        assert await valkey.call("EXISTS", "axon:connection:c:turns") == 0
        await cache.put([turn(1, connection_id="unknown")])
        assert await valkey.call("TTL", "axon:turn:resp_1") <= 600

    async def test_keep_an_unstored_turn_no_longer_than_its_connection(
        self, valkey: Valkey
    ) -> None:
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        await ValkeyConnectionDirectory(valkey=valkey).register("c", principal=a_principal())
        await valkey.call("EXPIRE", "axon:connection:c", 100)
        await cache.put([turn(0, connection_id="c")])
        assert await valkey.call("TTL", "axon:turn:resp_0") <= 100

    async def test_extend_the_life_of_stored_turns_that_are_read(self, valkey: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        await cache.put([turn(0), turn(1), turn(2, connection_id="c")])
        for number in range(3):
            await valkey.call("EXPIRE", f"axon:turn:resp_{number}", 10)
        await cache.chain("resp_2")
        lives = [await valkey.call("TTL", f"axon:turn:resp_{number}") for number in range(3)]
        assert lives[0] > 10
        assert lives[1] > 10
        assert lives[2] <= 10

    @pytest.mark.parametrize("status", ["completed", "incomplete", "cancelled", "failed"])
    async def test_continue_no_failed_response(self, pool: Pool, status: str) -> None:
        await PostgresHistoryStore(pool=pool).write([record(turn(0), status=status)])
        found = await PostgresTurnStore(pool=pool).chain("resp_0")
        assert bool(found) is (status != "failed")

    async def test_replace_nul_characters(self, valkey: Valkey, pool: Pool) -> None:
        text = "a\x00b\\u0000c\\\x00\x00"
        made = turn(0).model_copy(
            update={
                "input": [{"role": "user", "content": text, text: 1}],
                "output": [{"type": "message", "text": text}],
            }
        )
        await PostgresHistoryStore(pool=pool).write([record(made)])
        (found,) = await PostgresTurnStore(pool=pool).chain("resp_0")
        kept = text.replace("\x00", "\ufffd")
        assert found.input == [{"role": "user", "content": kept, kept: 1}]
        assert found.output == [{"type": "message", "text": kept}]
        cache = ValkeyTurnCache(valkey=valkey, ttl_s=60)
        await cache.put([made])
        assert await cache.chain("resp_0") == [made]
