"""Takeover: the deliveries of a relay without a lease go to others, each response to one."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from axon.directory.relays import RelayDirectory, TakenOver
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Status
from axon.exceptions import MovedError
from tests.contract.axon.event_log.event_log_samples import NEW, described, events
from tests.contract.conftest import EventLogHarness, Kind


async def have(
    harness: EventLogHarness, *connections: str, relay_id: str = "r1", each: int = 1
) -> list[str]:
    """Open `each` responses of each connection at the relay; then let it die."""
    ids = [f"resp_{relay_id}_{name}_{number}" for name in connections for number in range(each)]
    for response_id in ids:
        connection_id = response_id.split("_")[2]
        await harness.log.open(replace(NEW, response_id=response_id, connection_id=connection_id))
        assert (await described(harness.log, response_id)).relay_id == relay_id
    await harness.relays.end_lease(relay_id)
    return ids


async def adopt_all(
    relays: RelayDirectory, relay_id: str, successor_id: str, *, limit: int = 100
) -> list[TakenOver]:
    taken_over: list[TakenOver] = []
    while batch := await relays.take_over(relay_id, successor_id=successor_id, limit=limit):
        taken_over += batch
    return taken_over


def ids_of(taken_over: Iterable[TakenOver]) -> list[str]:
    return sorted(response.response_id for response in taken_over)


@pytest.fixture
def answered(kind: Kind) -> bool:
    """Return whether successors get the answer; otherwise they find the deliveries later."""
    return kind != "repeated"


async def test_takeover_returns_connections_and_checkpoints(
    harness: EventLogHarness, *, answered: bool
) -> None:
    await harness.log.open(NEW)
    await harness.log.open(replace(NEW, response_id="resp_2"))
    await harness.log.open(replace(NEW, response_id="resp_3", connection_id="c3"))
    for response_id, checkpoint in (
        ("resp_1", DeliveryCheckpoint(1)),
        ("resp_2", DeliveryCheckpoint(4, TailState.IN_DOUBT)),
    ):
        await harness.log.checkpoint(response_id, checkpoint, relay_id="r1", connection_id="c1")
    await harness.relays.end_lease("r1")
    taken_over = await harness.relays.take_over("r1", successor_id="r2")
    expected = {
        TakenOver("resp_1", "c1", DeliveryCheckpoint(1)),
        TakenOver("resp_2", "c1", DeliveryCheckpoint(4, TailState.IN_DOUBT)),
        TakenOver("resp_3", "c3", DeliveryCheckpoint(0, TailState.GRANTED)),
    }
    assert set(taken_over) == (expected if answered else set())
    assert await harness.relays.undelivered("r1") == set()
    assert await harness.relays.undelivered("r2") == {"resp_1", "resp_2", "resp_3"}
    for response in expected:
        meta = await described(harness.log, response.response_id)
        assert (meta.relay_id, meta.checkpoint) == ("r2", response.checkpoint)


async def test_takeover_forgets_a_relay_without_deliveries(harness: EventLogHarness) -> None:
    await have(harness, "c1")
    await harness.relays.take_over("r1", successor_id="r2")
    assert await harness.relays.take_over("r1", successor_id="r2") == []
    assert await harness.relays.expired() == []


async def test_takeover_takes_nothing_from_a_relay_whose_lease_runs(
    harness: EventLogHarness,
) -> None:
    await harness.log.open(NEW)
    assert await harness.relays.take_over("r1", successor_id="r2") == []
    assert await harness.relays.undelivered("r1") == {"resp_1"}


async def test_takeover_takes_nothing_from_an_unknown_relay(harness: EventLogHarness) -> None:
    assert await harness.relays.take_over("unknown", successor_id="r2") == []


async def test_takeover_leaves_a_relay_that_came_back_its_deliveries(
    harness: EventLogHarness,
) -> None:
    await have(harness, "c1")
    await harness.relays.heartbeat("r1", lease_s=600)
    assert await harness.relays.take_over("r1", successor_id="r2") == []


async def test_takeover_takes_at_most_the_limit_of_connections(
    harness: EventLogHarness, *, answered: bool
) -> None:
    ids = await have(harness, "ca", "cb", "cc", each=3)
    taken_over = await harness.relays.take_over("r1", successor_id="r2", limit=2)
    taken = await harness.relays.undelivered("r2")
    if answered:
        assert set(ids_of(taken_over)) == taken
        assert len({response.connection_id for response in taken_over}) == 2
        assert len(taken_over) == 6
        assert await harness.relays.expired() == ["r1"]  # an adopter that dies now loses nothing
    assert taken | await harness.relays.undelivered("r1") == set(ids)
    await adopt_all(harness.relays, "r1", "r2", limit=2)
    assert await harness.relays.undelivered("r2") == set(ids)
    assert await harness.relays.expired() == []


async def test_takeover_by_two_gives_each_response_to_one(
    harness: EventLogHarness, *, answered: bool
) -> None:
    ids = await have(harness, *(f"c-{number}" for number in range(12)), each=2)
    taken_over = await asyncio.gather(
        adopt_all(harness.relays, "r1", "r2", limit=2),
        adopt_all(harness.other_relays, "r1", "r3", limit=3),
    )
    if answered:
        assert ids_of([*taken_over[0], *taken_over[1]]) == sorted(ids)
    r2, r3 = await harness.relays.undelivered("r2"), await harness.relays.undelivered("r3")
    assert (r2 | r3, r2 & r3) == (set(ids), set())
    for response_id in ids:
        meta = await described(harness.log, response_id)
        assert response_id in (r2 if meta.relay_id == "r2" else r3)
    owners = {name: {response_id.split("_")[2] for response_id in r} for name, r in
              (("r2", r2), ("r3", r3))}  # fmt: skip
    assert not owners["r2"] & owners["r3"], "a connection was torn apart"


async def test_takeover_fences_the_dead_relays_checkpoints(harness: EventLogHarness) -> None:
    await have(harness, "c1")
    await harness.relays.take_over("r1", successor_id="r2")
    with pytest.raises(MovedError):
        await harness.log.checkpoint(
            "resp_r1_c1_0", DeliveryCheckpoint(), relay_id="r1", connection_id="c1"
        )
    await harness.log.checkpoint(
        "resp_r1_c1_0", DeliveryCheckpoint(), relay_id="r2", connection_id="c1"
    )


async def test_takeover_moves_the_connections_new_responses(harness: EventLogHarness) -> None:
    await have(harness, "c1")
    await harness.relays.heartbeat("r2", lease_s=600)
    await harness.relays.heartbeat("r3", lease_s=600)
    await harness.relays.take_over("r1", successor_id="r3")
    await harness.log.open(NEW)
    assert (await described(harness.log)).relay_id == "r3"


async def test_takeover_takes_ended_responses(harness: EventLogHarness) -> None:
    (response_id,) = await have(harness, "c1")
    claim = await harness.log.claim(response_id)
    final = events(claim.next_sequence)
    await harness.log.append(response_id, epoch=claim.epoch, events=final, status=Status.FAILED)
    await harness.relays.take_over("r1", successor_id="r2")
    assert await harness.relays.undelivered("r2") == {response_id}


async def test_takeover_leaves_out_moved_and_lost_responses(harness: EventLogHarness) -> None:
    ids = await have(harness, "ca", "cb")
    await harness.relays.heartbeat("r2", lease_s=600)
    await harness.log.resume(ids[0], tenant_id="t", connection_id="c9", first=0)
    assert (await described(harness.log, ids[0])).relay_id == "r2"
    await harness.relays.take_over("r1", successor_id="r3")
    assert await harness.relays.undelivered("r3") == {ids[1]}
    harness.lose()
    assert await harness.relays.take_over("r3", successor_id="r2") == []


async def test_takeover_returns_a_restarted_relays_own_deliveries(harness: EventLogHarness) -> None:
    ids = await have(harness, "ca", "cb", each=2)
    for _ in range(2):
        taken_over = await harness.relays.take_over("r1", successor_id="r1", limit=100)
        assert ids_of(taken_over) == ids
    assert await harness.relays.undelivered("r1") == set(ids)
    assert await harness.relays.expired() == ["r1"]
