"""The shares of Valkey's memory that a connection and a tenant's cache may hold."""

from dataclasses import replace

import pytest

from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyConnectionDirectory
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.memory import (
    CACHE_SHARE,
    CONNECTION_SHARE,
    EVICT_ABOVE,
    TENANT_SHARE,
    MemoryGuard,
)
from axon.adapters.valkey.traces import ValkeyResponseTraces
from axon.deadlines import Deadlines
from axon.event_log.log import LoggedEvent, Status
from axon.event_log.openings import OpenResult
from tests.integration.axon.adapters.valkey.memory_samples import (
    NEW,
    event_log,
    limit,
    turn,
)
from tests.support.principals import a_principal


async def shares(valkey: Valkey, **shares: int) -> None:
    limits = {"tenant_bytes": 10**9} | shares
    await valkey.call("HSET", "axon:memory", *(part for pair in limits.items() for part in pair))


async def opened(valkey: Valkey, number: int, *, connection_id: str = "c1") -> OpenResult:
    new = replace(NEW, response_id=f"resp_{number}", connection_id=connection_id)
    return (await event_log(valkey).open(new)).outcome


async def used_long_ago(valkey: Valkey, *numbers: int) -> None:
    for number in numbers:
        await valkey.call("ZADD", "axon:cache:t:held", "XX", 10**13 + number, f"turn:resp_{number}")
        await valkey.call("ZINCRBY", "axon:cache:t:held", -(10**13), f"turn:resp_{number}")
        now = await valkey.now_ms()
        await valkey.call("ZINCRBY", "axon:cache:t:held", now + 60_000, f"turn:resp_{number}")


class TestConnectionsShare:
    async def test_refuses_the_connection_that_holds_too_much_and_no_other(
        self, small: Valkey
    ) -> None:
        await shares(small, connection_bytes=170_000)  # two requests, with room for their answers
        await ValkeyConnectionDirectory(valkey=small).register("c2", principal=a_principal("t"))
        assert [await opened(small, number) for number in (1, 2, 3)] == [
            OpenResult.OPENED,
            OpenResult.OPENED,
            OpenResult.CONNECTION_FULL,
        ]
        assert await opened(small, 3, connection_id="c2") is OpenResult.OPENED

    async def test_counts_an_ended_response_by_its_size(self, small: Valkey) -> None:
        log = event_log(small)
        await shares(small, connection_bytes=170_000)
        for number in range(8):
            assert await opened(small, number) is OpenResult.OPENED
            claim = await log.claim(f"resp_{number}")
            final = [LoggedEvent(claim.next_sequence, b"{}")]
            await log.append(
                f"resp_{number}", epoch=claim.epoch, events=final, status=Status.COMPLETED
            )

    async def test_counts_unstored_turns_until_they_are_evicted(self, small: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=small, ttl_s=900)
        await shares(small, connection_bytes=170_000)
        await cache.put([turn(7, connection_id="c1", size=150_000)])
        assert await opened(small, 1) is OpenResult.CONNECTION_FULL
        await cache.evict("resp_7")
        assert await opened(small, 1) is OpenResult.OPENED

    async def test_counts_no_turn_of_a_gone_connection_that_was_not_registered(
        self, small: Valkey
    ) -> None:
        await ValkeyTurnCache(valkey=small, ttl_s=900).put([turn(7, connection_id="c9")])
        await ValkeyConnectionDirectory(valkey=small).remove("c9")
        assert await small.call("HGETALL", "axon:tenant:t:held:bytes") == {b":total": b"0"}

    async def test_counts_nothing_of_what_was_deleted(self, small: Valkey) -> None:
        log, traces = event_log(small), ValkeyResponseTraces(valkey=small)
        await shares(small, connection_bytes=10**9)
        await opened(small, 1)
        claim = await log.claim("resp_1")
        final = [LoggedEvent(claim.next_sequence, b"{}")]
        await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.COMPLETED)
        await ValkeyTurnCache(valkey=small, ttl_s=900).put([turn(1, connection_id="c1")])
        await small.call("SREM", "axon:relay:r1:responses", "resp_1")
        await traces.erase("resp_1")
        for owner in ("connection:c1", "tenant:t"):
            assert await small.call("HGETALL", f"axon:{owner}:held:bytes") == {b":total": b"0"}

    async def test_leaves_no_counts_when_the_connection_is_gone(self, small: Valkey) -> None:
        """A client that connects again and again must not fill Valkey with counts."""
        log = event_log(small)
        await shares(small, connection_bytes=10**9)
        await opened(small, 1)
        await ValkeyConnectionDirectory(valkey=small).remove("c1")
        claim = await log.claim("resp_1")
        final = [LoggedEvent(claim.next_sequence, b"{}")]
        await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.CANCELLED)
        await ValkeyTurnCache(valkey=small, ttl_s=900).put([turn(1, connection_id="c1")])
        assert await small.call("KEYS", "axon:connection:c1:*") == []


class TestHeldLogs:
    """A log counts for its tenant and its connection for as long as it is kept."""

    OWNERS = ("tenant:t", "connection:c1")

    async def counted_for_a_second(self, valkey: Valkey) -> None:
        for owner in self.OWNERS:
            expires = await valkey.now_ms() + 1000
            assert await valkey.call("ZADD", f"axon:{owner}:held", "CH", expires, "resp_1") == 1

    async def counted_s(self, valkey: Valkey) -> list[float]:
        now = await valkey.now_ms()
        scores = [
            await valkey.call("ZSCORE", f"axon:{owner}:held", "resp_1") for owner in self.OWNERS
        ]
        return [(float(score) - now) / 1000 for score in scores]

    async def test_count_as_long_as_a_resumption_keeps_them(self, small: Valkey) -> None:
        log = event_log(small)
        await shares(small, connection_bytes=10**9)
        await opened(small, 1)
        claim = await log.claim("resp_1")
        final = [LoggedEvent(claim.next_sequence, b"{}")]
        await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.COMPLETED)
        await self.counted_for_a_second(small)
        await ValkeyConnectionDirectory(valkey=small).register("c2", principal=a_principal("t"))
        await log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        assert await self.counted_s(small) == [pytest.approx(300, abs=5)] * 2

    async def test_count_as_long_as_an_answer_runs(self, small: Valkey) -> None:
        log = event_log(small)
        await shares(small, connection_bytes=10**9)
        await opened(small, 1)
        claim = await log.claim("resp_1")
        kept_s = [pytest.approx(Deadlines().keep_open_s + 300, abs=5)] * 2
        await self.counted_for_a_second(small)
        events = [LoggedEvent(claim.next_sequence, b"{}")]
        await log.append("resp_1", epoch=claim.epoch, events=events)
        assert await self.counted_s(small) == kept_s
        await self.counted_for_a_second(small)
        await small.call("ZADD", "axon:deadlines", 1, "resp_1")
        due = ValkeyDueIndex(valkey=small, deadlines=Deadlines(), retention_s=300)
        await due.take_overdue(limit=9)
        assert await self.counted_s(small) == kept_s


class TestCachesShare:
    async def test_evicts_the_tenants_own_longest_unused_turns(self, small: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=small, ttl_s=900)
        await shares(small, cache_bytes=250_000)  # four turns
        other = turn(100).model_copy(update={"tenant_id": "other"})
        await cache.put([other, *(turn(number) for number in range(4))])
        await used_long_ago(small, 0, 1, 2)
        await small.call("SET", "axon:history:pending:resp_0", "t", "EX", 60)
        await cache.put([turn(4)])
        assert await cache.chain("resp_0") == [turn(0)], "the database does not have it yet"
        assert await cache.chain("resp_3") == [turn(3)], "it was used a moment ago"
        assert await cache.chain("resp_4") == [turn(4)]
        assert await cache.chain("resp_1") == []
        assert await cache.chain("resp_100") == [other]

    async def test_leaves_a_turn_to_the_database_that_has_no_room(self, small: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=small, ttl_s=900)
        await shares(small, cache_bytes=120_000)
        await cache.put([turn(number) for number in range(3)])
        assert [len(await cache.chain(f"resp_{number}")) for number in range(3)] == [1, 1, 0]
        await cache.put([turn(0)])
        assert await cache.chain("resp_0") == [turn(0)], "its own former size does not count"

    async def test_no_longer_counts_what_the_guard_has_evicted(self, small: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=small, ttl_s=900)
        await cache.put([turn(number) for number in range(3)])
        for number in range(3):
            await small.call("ZADD", "axon:turns", number, f"resp_{number}")
        await limit(small, 0.75)
        await MemoryGuard(valkey=small).step()
        assert await small.call("HGETALL", "axon:cache:t:held:bytes") == {b":total": b"0"}

    async def test_a_use_keeps_the_turn_counted(self, small: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=small, ttl_s=900)
        await cache.put([turn(1)])
        await used_long_ago(small, 1)
        assert await cache.chain("resp_1") == [turn(1)]
        until = float(await small.call("ZSCORE", "axon:cache:t:held", "turn:resp_1"))
        assert until > await small.now_ms() + 800_000


async def test_no_turn_is_cached_while_logs_need_the_memory(small: Valkey) -> None:
    cache = ValkeyTurnCache(valkey=small, ttl_s=900)
    await limit(small, 0.78)
    await MemoryGuard(valkey=small).step()
    await cache.put([turn(1), turn(2, connection_id="c1")])
    assert await cache.chain("resp_1") == []
    assert await cache.chain("resp_2") == [turn(2, connection_id="c1")], "nobody else has it"
    assert await opened(small, 3) is OpenResult.OPENED, "logs go on where caches do not"


def test_one_tenant_alone_evicts_nobodys_turns() -> None:
    assert TENANT_SHARE + CACHE_SHARE < EVICT_ABOVE
    assert CONNECTION_SHARE < TENANT_SHARE
