"""Requests that are sent again under the same idempotency key."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.openings import Opening, OpenResult
from axon.event_log.publication import Kind, Publication
from tests.contract.axon.event_log.event_log_samples import (
    NEW,
    described,
    end,
    open_and_claim,
    prepare,
)
from tests.contract.conftest import EventLogHarness, MakeHarness

KEYED = replace(NEW, idempotency="key", fingerprint="one")
AGAIN = replace(KEYED, response_id="resp_2")
REPEATED = Opening(OpenResult.REPEATED, "resp_1", "one")


async def first_of(harness: EventLogHarness, idempotency: str = "key") -> Opening | None:
    return await harness.log.repeated(
        idempotency, fingerprint="one", connection_id="c1", lane=KEYED.lane
    )


async def test_repeated_request_gets_the_first_response(harness: EventLogHarness) -> None:
    assert await harness.log.open(KEYED) == Opening(OpenResult.OPENED)
    harness.published()
    assert await harness.log.open(AGAIN) == REPEATED
    assert await harness.log.open(replace(AGAIN, connection_id="c2", fingerprint="two")) == REPEATED
    assert await harness.log.describe("resp_2") is None
    assert await harness.log.running_for("c1") == {"resp_1"}
    assert harness.published() == []


async def test_same_response_is_no_repeated_request(harness: EventLogHarness) -> None:
    for _ in range(2):
        assert await harness.log.open(KEYED) == Opening(OpenResult.OPENED)


async def test_requests_with_another_key_or_none_are_not_repeated(harness: EventLogHarness) -> None:
    await harness.log.open(KEYED)
    other = replace(AGAIN, idempotency="other")
    assert (await harness.log.open(other)).outcome is OpenResult.OPENED
    for response_id in ("resp_3", "resp_4"):
        opening = await harness.log.open(replace(NEW, response_id=response_id))
        assert opening.outcome is OpenResult.OPENED


async def test_repeated_request_needs_neither_model_nor_relay(harness: EventLogHarness) -> None:
    await harness.log.open(KEYED)
    await harness.relays.end_lease("r1")
    assert await harness.log.open(replace(AGAIN, model="none")) == REPEATED


async def test_repeated_request_on_a_closed_connection_is_gone(harness: EventLogHarness) -> None:
    await harness.log.open(KEYED)
    await harness.connections.remove("c1")
    assert await harness.log.open(AGAIN) == Opening(OpenResult.GONE)


async def test_refused_request_uses_no_key(harness: EventLogHarness) -> None:
    assert (
        await harness.log.open(replace(KEYED, model="none"))
    ).outcome is OpenResult.UNKNOWN_MODEL
    assert await first_of(harness) is None
    assert await harness.log.open(AGAIN) == Opening(OpenResult.OPENED)


async def test_concurrent_requests_with_one_key_open_one_response(harness: EventLogHarness) -> None:
    openings = await asyncio.gather(
        *(harness.log.open(replace(KEYED, response_id=f"resp_{number}")) for number in range(20))
    )
    assert [opening.outcome for opening in openings].count(OpenResult.OPENED) == 1
    (first_id,) = {opening.first_id for opening in openings if opening.first_id}
    assert await harness.log.running_for("c1") == {first_id}


async def test_first_response_is_found_without_opening(harness: EventLogHarness) -> None:
    assert await first_of(harness) is None
    await harness.log.open(KEYED)
    assert await first_of(harness) == REPEATED
    assert await first_of(harness, "") is None


LANE = replace(KEYED, lane="*")
"""In a lane; NEW is in none."""


class TestRepeatedRequest:
    """The first response is delivered to where the request comes from, in one step."""

    async def test_gets_the_response_on_its_connection(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log, new=LANE))
        await harness.log.open(replace(NEW, response_id="resp_9", connection_id="c2", lane="*"))
        harness.published()
        assert await harness.log.open(replace(AGAIN, connection_id="c2", lane="*")) == REPEATED
        meta = await described(harness.log)
        assert (meta.connection_id, meta.position.before) == ("c2", "resp_9")
        assert meta.checkpoint == DeliveryCheckpoint(0, TailState.CLOSED)
        resumed = Publication("resp_1", "c2", 0, Kind.RESUMED, position=meta.position)
        assert harness.published() == [("r1", resumed.encode())]

    @pytest.mark.parametrize("ended", [False, True])
    async def test_gets_the_response_in_its_lane(
        self, harness: EventLogHarness, ended: bool
    ) -> None:
        claim = await open_and_claim(harness.log, new=LANE)
        if ended:
            await end(harness.log, claim)
        before = (await described(harness.log)).position
        assert await harness.log.open(replace(AGAIN, lane="a")) == REPEATED
        after = (await described(harness.log)).position
        assert (after.lane, after.order > before.order) == ("a", True)
        befores = []
        for number, lane in enumerate(("*", "a"), start=3):
            response_id = f"resp_{number}"
            await harness.log.open(replace(NEW, response_id=response_id, lane=lane))
            befores.append((await described(harness.log, response_id)).position.before)
        assert befores == ["", "resp_1"], "it has left its former lane"

    async def test_gets_what_may_have_arrived_once_more(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log, new=LANE))
        assert (await described(harness.log)).checkpoint.tail is TailState.GRANTED
        harness.published()
        assert await harness.log.open(replace(AGAIN, lane="*")) == REPEATED
        assert [Publication.decode(data).kind for _, data in harness.published()] == [Kind.RESUMED]

    async def test_changes_nothing_where_the_events_are_on_their_way(
        self, harness: EventLogHarness
    ) -> None:
        claim = await open_and_claim(harness.log, new=LANE)
        harness.published()
        assert await harness.log.open(replace(AGAIN, lane="*")) == REPEATED
        await harness.log.checkpoint(
            "resp_1", DeliveryCheckpoint(1, TailState.CLOSED), relay_id="r1", connection_id="c1"
        )
        await end(harness.log, claim)
        harness.published()
        assert await harness.log.open(replace(AGAIN, lane="*")) == REPEATED
        assert harness.published() == []

    async def test_of_a_follower_leaves_the_delivery_as_it_is(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(LANE)
        harness.published()
        assert await harness.log.open(replace(AGAIN, connection_id="", lane="a")) == REPEATED
        assert harness.published() == []
        assert (await described(harness.log)).connection_id == "c1"

    async def test_of_a_followed_response_gets_it(self, harness: EventLogHarness) -> None:
        await harness.log.open(replace(LANE, connection_id=""))
        assert await harness.log.open(replace(AGAIN, lane="a")) == REPEATED
        meta = await described(harness.log)
        assert (meta.connection_id, meta.position.lane) == ("c1", "a")

    async def test_waits_for_a_relay(self, harness: EventLogHarness) -> None:
        await harness.log.open(LANE)
        await harness.relays.end_lease("r1")
        refused = Opening(OpenResult.NO_RELAY)
        assert await harness.log.open(replace(AGAIN, lane="a")) == refused
        assert (
            await harness.log.repeated("key", fingerprint="one", connection_id="c1", lane="a")
            == refused
        )


class TestIdempotencyKeyLifetime:
    @pytest.fixture
    async def harness(self, make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
        async with make_harness(retention_s=1) as made:
            await prepare(made)
            yield made

    async def test_lasts_as_long_as_the_events(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log, new=KEYED))
        assert await harness.log.open(AGAIN) == REPEATED
        await harness.seconds(1.1)
        assert await first_of(harness) is None
        assert await harness.log.open(AGAIN) == Opening(OpenResult.OPENED)
        assert await first_of(harness) == replace(REPEATED, first_id="resp_2")
