"""Requests that are sent again under the same idempotency key."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log.log import Opening, OpenResult
from tests.contract.conftest import Bench, MakeBench
from tests.contract.event_log_samples import NEW, end, open_and_claim, prepare

KEYED = replace(NEW, idempotency="key", fingerprint="one")
AGAIN = replace(KEYED, response_id="resp_2")
REPEATED = Opening(OpenResult.REPEATED, "resp_1", "one")


async def test_a_second_one_is_told_of_the_first(bench: Bench) -> None:
    assert await bench.log.open(KEYED) == Opening(OpenResult.OPENED)
    bench.published()
    assert await bench.log.open(AGAIN) == REPEATED
    assert await bench.log.open(replace(AGAIN, connection_id="c2", fingerprint="two")) == REPEATED
    assert await bench.log.describe("resp_2") is None
    assert await bench.log.running_for("c1") == {"resp_1"}
    assert bench.published() == []


async def test_the_same_response_is_none(bench: Bench) -> None:
    for _ in range(2):
        assert await bench.log.open(KEYED) == Opening(OpenResult.OPENED)


async def test_another_key_and_none_are_others(bench: Bench) -> None:
    await bench.log.open(KEYED)
    other = replace(AGAIN, idempotency="other")
    assert (await bench.log.open(other)).outcome is OpenResult.OPENED
    for response_id in ("resp_3", "resp_4"):
        opening = await bench.log.open(replace(NEW, response_id=response_id))
        assert opening.outcome is OpenResult.OPENED


async def test_a_repeated_one_needs_neither_model_nor_relay(bench: Bench) -> None:
    await bench.log.open(KEYED)
    await bench.relays.leave("r1")
    assert await bench.log.open(replace(AGAIN, model="none")) == REPEATED


async def test_for_a_connection_that_is_gone_it_is_gone(bench: Bench) -> None:
    await bench.log.open(KEYED)
    await bench.connections.remove("c1")
    assert await bench.log.open(AGAIN) == Opening(OpenResult.GONE)


async def test_what_was_refused_has_used_no_key(bench: Bench) -> None:
    assert (await bench.log.open(replace(KEYED, model="none"))).outcome is OpenResult.UNKNOWN_MODEL
    assert await bench.log.repeated("key") is None
    assert await bench.log.open(AGAIN) == Opening(OpenResult.OPENED)


async def test_of_many_at_once_one_opens(bench: Bench) -> None:
    openings = await asyncio.gather(
        *(bench.log.open(replace(KEYED, response_id=f"resp_{number}")) for number in range(20))
    )
    assert [opening.outcome for opening in openings].count(OpenResult.OPENED) == 1
    (first_id,) = {opening.first_id for opening in openings if opening.first_id}
    assert await bench.log.running_for("c1") == {first_id}


async def test_what_began_is_found_without_opening(bench: Bench) -> None:
    assert await bench.log.repeated("key") is None
    await bench.log.open(KEYED)
    assert await bench.log.repeated("key") == REPEATED
    assert await bench.log.repeated("") is None


class TestAsLongAsTheEvents:
    @pytest.fixture
    async def bench(self, make_bench: MakeBench) -> AsyncIterator[Bench]:
        async with make_bench(retention_s=1) as made:
            await prepare(made)
            yield made

    async def test_a_key_counts(self, bench: Bench) -> None:
        await end(bench.log, await open_and_claim(bench.log, new=KEYED))
        assert await bench.log.open(AGAIN) == REPEATED
        await bench.seconds(1.1)
        assert await bench.log.repeated("key") is None
        assert await bench.log.open(AGAIN) == Opening(OpenResult.OPENED)
        assert await bench.log.repeated("key") == replace(REPEATED, first_id="resp_2")
