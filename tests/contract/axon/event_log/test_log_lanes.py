"""Lanes: each response has its place in one, and nothing is granted while another comes first."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log import publication
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.lanes import NO_LANE, LanePosition
from axon.event_log.log import LostResponse, Status
from axon.event_log.publication import Publication
from tests.contract.axon.event_log.event_log_samples import (
    NEW,
    described,
    end,
    numbers,
    open_and_claim,
    prepare,
)
from tests.contract.conftest import EventLogHarness, Kind, MakeHarness

LANE = replace(NEW, lane="*")
CLOSED = DeliveryCheckpoint(0, TailState.CLOSED)


async def opened(
    harness: EventLogHarness, response_id: str, *, lane: str = "*", connection_id: str = "c1"
) -> LanePosition:
    new = replace(LANE, response_id=response_id, lane=lane, connection_id=connection_id)
    await harness.log.open(new)
    return await position(harness, response_id)


async def position(harness: EventLogHarness, response_id: str) -> LanePosition:
    return (await described(harness.log, response_id)).position


async def delivered(harness: EventLogHarness, response_id: str) -> None:
    await harness.relays.delivered("r1", response_id, connection_id="c1")


async def restore(harness: EventLogHarness, response_id: str, place: LanePosition) -> None:
    await harness.log.restore(
        LostResponse(
            response_id=response_id,
            tenant_id="t",
            connection_id="c1",
            job=b"{}",
            age_ms=0,
            epoch=1,
            events=[],
            status=Status.IN_PROGRESS,
            position=place,
        )
    )


class TestLanePosition:
    async def test_has_the_lanes_last_response_before_it(self, harness: EventLogHarness) -> None:
        first = await opened(harness, "resp_1")
        other = await opened(harness, "resp_2", lane="a")
        elsewhere = await opened(harness, "resp_3", connection_id="c2")
        second = await opened(harness, "resp_4")
        assert [p.before for p in (first, other, elsewhere, second)] == ["", "", "", "resp_1"]
        assert first.order < other.order < second.order
        assert other.lane == "a"

    async def test_has_nothing_before_it_once_that_was_delivered(
        self, harness: EventLogHarness
    ) -> None:
        await opened(harness, "resp_1")
        await opened(harness, "resp_2")
        await delivered(harness, "resp_1")
        await delivered(harness, "resp_2")
        assert (await opened(harness, "resp_3")).before == ""

    async def test_is_none_for_a_response_without_a_lane(self, harness: EventLogHarness) -> None:
        await opened(harness, "resp_1")
        assert await opened(harness, "resp_2", lane="") == NO_LANE

    async def test_goes_with_a_takeover(self, harness: EventLogHarness, kind: Kind) -> None:
        places = [await opened(harness, f"resp_{n}") for n in (1, 2)]
        await harness.relays.end_lease("r1")
        taken = await harness.relays.take_over("r1", successor_id="r2")
        # A successor whose first answer was lost finds the deliveries later, in the log.
        expected = [] if kind == "repeated" else [("resp_1", places[0]), ("resp_2", places[1])]
        assert sorted((t.response_id, t.position) for t in taken) == expected
        assert [await position(harness, f"resp_{n}") for n in (1, 2)] == places

    async def test_is_published_with_event_0(self, harness: EventLogHarness) -> None:
        first = await opened(harness, "resp_1", lane="a%20b")
        second = await opened(harness, "resp_2", lane="a%20b")
        events = (publication.Kind.EVENTS, [NEW.created])
        assert harness.published() == [
            (
                "r1",
                Publication("resp_1", "c1", 0, *events, granted=True, position=first).encode(),
            ),
            ("r1", Publication("resp_2", "c1", 0, *events, position=second).encode()),
        ]

    async def test_is_claimed_and_restored(self, harness: EventLogHarness) -> None:
        places = [await opened(harness, f"resp_{n}") for n in (1, 2)]
        claims = [await harness.log.claim(f"resp_{n}") for n in (1, 2)]
        assert [claim.position for claim in claims] == places
        harness.lose()
        await prepare(harness)
        # In any order: their workers do not know of each other.
        for number in (1, 0):
            await restore(harness, f"resp_{number + 1}", places[number])
        assert [await position(harness, f"resp_{n}") for n in (1, 2)] == places
        later = await opened(harness, "resp_3")
        assert later.before == "resp_2"
        assert later.order > places[1].order

    async def test_is_the_last_one_of_a_response_that_was_never_claimed(
        self, harness: EventLogHarness
    ) -> None:
        place = await opened(harness, "resp_1")
        await restore(harness, "resp_2", LanePosition("*"))
        restored = await position(harness, "resp_2")
        assert (restored.before, restored.order > place.order) == ("resp_1", True)


class TestResumedLanePosition:
    async def test_is_the_last_one_on_the_new_connection(self, harness: EventLogHarness) -> None:
        await opened(harness, "resp_1")
        await opened(harness, "resp_2")
        other = await opened(harness, "resp_3", connection_id="c2")
        harness.published()
        await harness.log.resume("resp_2", tenant_id="t", connection_id="c2", first=1)
        moved = await described(harness.log, "resp_2")
        assert moved.position.before == "resp_3"
        assert moved.position.order > other.order
        assert moved.checkpoint == DeliveryCheckpoint(1, TailState.CLOSED)
        resumed = Publication("resp_2", "c2", 1, publication.Kind.RESUMED, position=moved.position)
        assert harness.published() == [("r1", resumed.encode())]
        assert (await opened(harness, "resp_4")).before == "resp_1", "what is left on c1"

    async def test_stays_on_the_same_connection(self, harness: EventLogHarness) -> None:
        place = await opened(harness, "resp_1")
        await opened(harness, "resp_2")
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c1", first=0)
        assert await position(harness, "resp_1") == place

    async def test_is_the_last_one_after_the_delivery(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log, new=LANE))
        await delivered(harness, "resp_1")
        await opened(harness, "resp_2")
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c1", first=0)
        assert (await position(harness, "resp_1")).before == "resp_2"


async def test_log_grants_nothing_while_another_response_comes_first(
    harness: EventLogHarness,
) -> None:
    await opened(harness, "resp_1")
    await opened(harness, "resp_2")
    assert (await described(harness.log, "resp_2")).checkpoint == CLOSED
    await harness.log.claim("resp_2", in_progress=b"{}")
    assert (await described(harness.log, "resp_2")).checkpoint == CLOSED


@pytest.fixture
async def short(make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
    async with make_harness(retention_s=1) as made:
        await prepare(made)
        yield made


async def test_log_that_waits_for_its_lane_does_not_expire(short: EventLogHarness) -> None:
    await end(short.log, await open_and_claim(short.log, new=LANE))
    for _ in range(2):
        await short.seconds(0.6)
        await short.log.checkpoint("resp_1", CLOSED, relay_id="r1", connection_id="c1")
    assert await numbers(short.log) == [0, 1, 2]
    await short.seconds(1.1)
    assert await numbers(short.log) == []
