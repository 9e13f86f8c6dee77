"""Valkey's memory: caches go first, then new requests are refused; running answers end."""

import asyncio
from dataclasses import replace

import pytest

from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.memory import MemoryGuard
from axon.adapters.valkey.traces import ValkeyResponseTraces
from axon.event_log.log import JournalRecord, LoggedEvent, Status
from axon.event_log.openings import OpenResult
from tests.integration.axon.adapters.valkey.memory_samples import (
    NEW,
    event_log,
    limit,
    turn,
)
from tests.support.principals import a_principal


async def used(valkey: Valkey, number: int, *, seconds_ago: int) -> None:
    now = await valkey.now_ms()
    await valkey.call("ZADD", "axon:turns", now - seconds_ago * 1000, f"resp_{number}")


async def test_memory_guard_evicts_the_turns_that_were_not_used_for_longest(small: Valkey) -> None:
    cache = ValkeyTurnCache(valkey=small, ttl_s=900)
    shares, evicted = list[float](), list[int]()
    guard = MemoryGuard(valkey=small, observe=shares.append, evicted=evicted.append)
    await cache.put([turn(number) for number in range(4)])
    await cache.put([turn(4, connection_id="c1")])
    for number in range(3):
        await used(small, number, seconds_ago=100)
    await small.call("SET", "axon:history:pending:resp_1", "t", "EX", 60)
    await small.call("DEL", "axon:turn:resp_2")
    await small.call("HSET", "axon:turn:resp_2", "deleted", 1)
    await limit(small, 0.65)
    await guard.step()
    assert evicted == []
    await limit(small, 0.75)
    await guard.step()
    assert evicted == [1]
    assert shares == [pytest.approx(0.65, abs=0.03), pytest.approx(0.75, abs=0.03)]
    assert await cache.chain("resp_0") == []
    assert await cache.chain("resp_1") == [turn(1)], "the database does not have it yet"
    assert await small.call("HEXISTS", "axon:turn:resp_2", "deleted") == 1
    assert await cache.chain("resp_3") == [turn(3)], "it was used a moment ago"
    assert await cache.chain("resp_4") == [turn(4, connection_id="c1")], "nobody else has it"


async def test_memory_guard_evicts_past_turns_that_stay_or_have_expired(small: Valkey) -> None:
    cache = ValkeyTurnCache(valkey=small, ttl_s=900)
    guard = MemoryGuard(valkey=small)
    await cache.put([turn(number, size=10) for number in range(3)])
    # More than one batch that nothing is evicted for comes before the first that is.
    for number in range(100, 200):
        await used(small, number, seconds_ago=200)
    for number in (0, 1):
        await used(small, number, seconds_ago=300)
    await small.call("SET", "axon:history:pending:resp_0", "t", "EX", 60)
    await small.call("DEL", "axon:turn:resp_1")
    await used(small, 2, seconds_ago=100)
    await limit(small, 0.75)
    await guard.step()
    assert await cache.chain("resp_2") == []
    assert await cache.chain("resp_0") == [turn(0, size=10)]


async def test_index_of_stored_turns_keeps_none_that_is_gone(small: Valkey) -> None:
    cache = ValkeyTurnCache(valkey=small, ttl_s=900)
    await cache.put([turn(number, size=10) for number in range(3)])
    await cache.evict("resp_0")
    await ValkeyResponseTraces(valkey=small).erase("resp_1")
    assert await small.call("ZRANGE", "axon:turns", 0, -1) == [b"resp_2"]
    # Nothing else takes out what expires when no other turn comes.
    assert 890 < await small.call("TTL", "axon:turns") <= 900
    await small.call("EXPIRE", "axon:turns", 10)
    assert await cache.chain("resp_2") == [turn(2, size=10)]
    assert 890 < await small.call("TTL", "axon:turns") <= 900, "a use keeps it as long as the turn"
    for number in range(100, 120):
        await used(small, number, seconds_ago=1000)
    await cache.put([turn(number, size=10) for number in range(3, 6)])
    left = await small.call("ZRANGE", "axon:turns", 0, -1)
    assert sorted(left) == [f"resp_{number}".encode() for number in range(2, 6)]


async def test_memory_guard_refuses_requests_before_valkey_is_full(small: Valkey) -> None:
    log, guard = event_log(small), MemoryGuard(valkey=small)
    await limit(small, 0.83)
    await guard.step()
    assert (await log.open(NEW)).outcome is OpenResult.OPENED
    await limit(small, 0.9)
    await guard.step()
    assert (await log.open(replace(NEW, response_id="resp_2"))).outcome is OpenResult.FULL
    # A repetition of what was accepted is no new request, and what runs continues.
    assert (await log.open(NEW)).outcome is OpenResult.OPENED
    claim = await log.claim("resp_1", in_progress=b"{}")
    final = [LoggedEvent(claim.next_sequence, b"{}")]
    await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.COMPLETED)
    await limit(small, 0.82)  # refused from 85 % on, and accepted again below 80 %
    await guard.step()
    assert (await log.open(replace(NEW, response_id="resp_3"))).outcome is OpenResult.FULL
    await limit(small, 0.7)
    await guard.step()
    assert (await log.open(replace(NEW, response_id="resp_4"))).outcome is OpenResult.OPENED


async def test_memory_limits_end_without_a_relay_that_measures(small: Valkey) -> None:
    await limit(small, 0.9)
    await MemoryGuard(valkey=small).step()
    assert 0 < await small.call("TTL", "axon:memory") <= 10


async def test_memory_guard_leaves_a_server_without_a_limit_alone(small: Valkey) -> None:
    shares = list[float]()
    await MemoryGuard(valkey=small, observe=shares.append).step()
    assert shares == []
    assert await small.call("EXISTS", "axon:memory") == 0


class TestTenantsShare:
    async def limited(self, valkey: Valkey, bytes_: int) -> None:
        await valkey.call("HSET", "axon:memory", "full", 0, "tenant_bytes", bytes_)

    async def test_refuses_the_tenant_that_holds_too_much_and_no_other(self, small: Valkey) -> None:
        log = event_log(small, retention_s=1)
        await self.limited(small, 170_000)  # two requests of 10 KB, with room for their answers
        for number in (1, 2):
            opening = await log.open(replace(NEW, response_id=f"resp_{number}"))
            assert opening.outcome is OpenResult.OPENED
        third = replace(NEW, response_id="resp_3")
        assert (await log.open(third)).outcome is OpenResult.TENANT_FULL
        other = replace(third, response_id="resp_4", tenant_id="other")
        assert (await log.open(other)).outcome is OpenResult.OPENED
        claim = await log.claim("resp_1")
        final = [LoggedEvent(claim.next_sequence, b"{}")]
        await log.append("resp_1", epoch=claim.epoch, events=final, status=Status.COMPLETED)
        async with asyncio.timeout(10):
            while (await log.open(third)).outcome is not OpenResult.OPENED:
                await asyncio.sleep(0.1)

    async def test_counts_an_ended_response_by_its_size(self, small: Valkey) -> None:
        log = event_log(small)
        await self.limited(small, 400_000)  # five answers of the size that is expected
        for number in range(20):
            assert await self.answer(log, number, size=100) is OpenResult.OPENED
        assert await self.answer(log, 20, size=200_000) is OpenResult.OPENED
        assert await self.answer(log, 21, size=100) is OpenResult.TENANT_FULL

    @pytest.mark.parametrize("size", [100, 20_000])
    async def test_size_of_an_ended_response_is_what_valkey_holds(
        self, small: Valkey, size: int
    ) -> None:
        log = event_log(small)
        await self.limited(small, 10**9)
        await self.answer(log, 0, size=size)
        before, held = await self.used(small), await self.held(small)
        answers = (self.answer(log, number, size=size) for number in range(1, 101))
        assert set(await asyncio.gather(*answers)) == {OpenResult.OPENED}
        taken = await self.used(small) - before
        assert 0.8 * taken < await self.held(small) - held < 1.5 * taken

    async def answer(self, log: ValkeyEventLog, number: int, *, size: int) -> OpenResult:
        """Complete a response whose answer has this size, in flushes of 200 bytes."""
        new = replace(NEW, response_id=f"resp_{number}")
        opening = (await log.open(new)).outcome
        if opening is not OpenResult.OPENED:
            return opening
        claim = await log.claim(new.response_id)
        usage = [JournalRecord(number=0, after=1, kind="usage", data=b"{}")]
        for event in range(size // 200):
            events = [LoggedEvent(claim.next_sequence + event, b"e" * 200)]
            await log.append(
                new.response_id, epoch=claim.epoch, events=events, journal=() if event else usage
            )
        final = [LoggedEvent(claim.next_sequence + size // 200, b"e" * 100)]
        await log.append(new.response_id, epoch=claim.epoch, events=final, status=Status.COMPLETED)
        return opening

    async def used(self, valkey: Valkey) -> int:
        """Return what the data takes, without the buffers of clients, which come and go."""
        memory = await valkey.call("INFO", "memory")
        return int(memory["used_memory"]) - int(memory["mem_clients_normal"])

    async def held(self, valkey: Valkey) -> int:
        return int(await valkey.call("HGET", "axon:tenant:t:held:bytes", ":total"))

    async def test_counts_no_ended_response_that_it_did_not_count_before(
        self, small: Valkey
    ) -> None:
        assert await self.answer(event_log(small), 1, size=100) is OpenResult.OPENED
        assert await small.call("EXISTS", "axon:tenant:t:held") == 0, "Valkey has no limit"

    async def test_counts_all_that_an_unstored_turn_takes(self, small: Valkey) -> None:
        cache = ValkeyTurnCache(valkey=small, ttl_s=900)
        short = [
            turn(number, connection_id="c1", size=10).model_copy(
                update={
                    "response_id": f"resp_{number:0>32}",
                    "previous_response_id": f"resp_{number - 1:0>32}" if number else None,
                }
            )
            for number in range(100)
        ]
        await cache.put(short)
        before, held = await self.used(small), await self.held(small)
        await cache.put(
            [each.model_copy(update={"response_id": f"{each.response_id}x"}) for each in short]
        )
        taken = await self.used(small) - before
        assert 0.8 * taken < await self.held(small) - held < 1.5 * taken

    async def test_counts_unstored_turns_until_their_client_leaves(self, small: Valkey) -> None:
        log, cache = event_log(small), ValkeyTurnCache(valkey=small, ttl_s=900)
        connections = ValkeyConnectionDirectory(valkey=small)
        await connections.register("c2", principal=a_principal("t"))
        await self.limited(small, 170_000)
        await cache.put([turn(0)])  # stored: it can be evicted
        assert (await log.open(NEW)).outcome is OpenResult.OPENED
        await cache.put([turn(7, connection_id="c2"), turn(8, connection_id="c2")])
        second = replace(NEW, response_id="resp_2")
        assert (await log.open(second)).outcome is OpenResult.TENANT_FULL
        await connections.remove("c2")
        assert (await log.open(second)).outcome is OpenResult.OPENED

    async def test_forgets_what_has_expired_before_it_refuses_a_request(
        self, small: Valkey
    ) -> None:
        await self.limited(small, 170_000)
        now, held = await small.now_ms(), "axon:tenant:t:held"
        for number in range(900):
            await small.call("ZADD", held, now - 1, f"turn:{number}")
            await small.call("HSET", f"{held}:bytes", f"turn:{number}", 1000)
        await small.call("ZADD", held, now - 1, "turn:of-unknown-size")
        await small.call("HSET", f"{held}:bytes", ":total", 900_000)
        assert (await event_log(small).open(NEW)).outcome is OpenResult.OPENED
        assert await small.call("ZRANGE", held, 0, -1) == [NEW.response_id.encode()]
        sizes = await small.call("HGETALL", f"{held}:bytes")
        assert sizes == {
            NEW.response_id.encode(): sizes[b":total"],
            b":total": sizes[b":total"],
        }

    async def test_no_longer_counts_an_evicted_turn(self, small: Valkey) -> None:
        log, cache = event_log(small), ValkeyTurnCache(valkey=small, ttl_s=900)
        await ValkeyConnectionDirectory(valkey=small).register("c2", principal=a_principal("t"))
        await self.limited(small, 170_000)
        await cache.put([turn(7, connection_id="c2", size=150_000)])
        assert (await log.open(NEW)).outcome is OpenResult.TENANT_FULL
        await cache.evict("resp_7")
        assert await cache.chain("resp_7") == []
        assert (await log.open(NEW)).outcome is OpenResult.OPENED

    async def test_no_longer_counts_a_deleted_response(self, small: Valkey) -> None:
        log, traces = event_log(small), ValkeyResponseTraces(valkey=small)
        await self.limited(small, 10**9)
        for number in (1, 2):
            await self.answer(log, number, size=20_000)
        await self.delivered(small, "resp_1")
        await traces.erase("resp_1")
        await traces.erase("resp_1")
        names = await small.call("HKEYS", "axon:tenant:t:held:bytes")
        assert sorted(names) == [b":total", b"resp_2"]
        assert await self.held(small) == int(
            await small.call("HGET", "axon:tenant:t:held:bytes", "resp_2")
        )

    async def test_counts_a_deleted_response_while_it_is_delivered(self, small: Valkey) -> None:
        log, traces = event_log(small), ValkeyResponseTraces(valkey=small)
        await self.limited(small, 10**9)
        await self.answer(log, 1, size=20_000)
        held = await self.held(small)
        await traces.erase("resp_1")
        assert await self.held(small) == held
        left_ms = await small.call("ZSCORE", "axon:tenant:t:held", "resp_1") - await small.now_ms()
        assert 5_000 < left_ms <= 10_000

    async def delivered(self, valkey: Valkey, response_id: str) -> None:
        """Take a response from its relay, as when its client has all of it."""
        await valkey.call("SREM", "axon:relay:r1:responses", response_id)


async def test_valkey_is_never_full_for_an_accepted_response(small: Valkey) -> None:
    """Clients ask for more than fits. Some are refused; no accepted answer is, nor its turn."""
    log, cache = event_log(small), ValkeyTurnCache(valkey=small, ttl_s=900)
    guard = MemoryGuard(valkey=small)
    await limit(small, 0.3)
    outcomes = list[OpenResult]()

    async def answer(number: int) -> None:
        response_id = f"resp_{number}"
        new = replace(NEW, response_id=response_id, tenant_id=f"t{number % 4}")
        outcomes.append((await log.open(new)).outcome)
        if outcomes[-1] is not OpenResult.OPENED:
            return
        claim = await log.claim(response_id, in_progress=b"{}")
        events = [LoggedEvent(claim.next_sequence, b"e" * 30_000)]
        await log.append(response_id, epoch=claim.epoch, events=events)
        await cache.put([turn(number)])
        final = [LoggedEvent(claim.next_sequence + 1, b"e" * 10_000)]
        await log.append(response_id, epoch=claim.epoch, events=final, status=Status.COMPLETED)

    for batch in range(40):
        await guard.step()
        await asyncio.gather(*(answer(4 * batch + number) for number in range(4)))
    assert OpenResult.OPENED in outcomes
    full = {OpenResult.FULL, OpenResult.TENANT_FULL, OpenResult.CONNECTION_FULL}
    assert full & set(outcomes)
