"""What a relay without a lease has to deliver is taken over by others, each response by one."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from axon.directory.relays import RelayDirectory, TakenOver
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Status
from axon.exceptions import MovedError
from tests.contract.conftest import Bench, Kind
from tests.contract.event_log_samples import NEW, described, events


async def have(bench: Bench, *connections: str, relay_id: str = "r1", each: int = 1) -> list[str]:
    """Let the relay have so many responses of each connection; then it dies."""
    ids = [f"resp_{relay_id}_{name}_{number}" for name in connections for number in range(each)]
    for response_id in ids:
        connection_id = response_id.split("_")[2]
        await bench.log.open(replace(NEW, response_id=response_id, connection_id=connection_id))
        assert (await described(bench.log, response_id)).relay_id == relay_id
    await bench.relays.leave(relay_id)
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
    """Whether successors hear what they take over; otherwise they find it later by themselves."""
    return kind != "repeated"


async def test_each_with_its_connection_and_mark(bench: Bench, *, answered: bool) -> None:
    await bench.log.open(NEW)
    await bench.log.open(replace(NEW, response_id="resp_2"))
    await bench.log.open(replace(NEW, response_id="resp_3", connection_id="c3"))
    for response_id, checkpoint in (
        ("resp_1", DeliveryCheckpoint(1)),
        ("resp_2", DeliveryCheckpoint(4, TailState.IN_DOUBT)),
    ):
        await bench.log.checkpoint(response_id, checkpoint, relay_id="r1", connection_id="c1")
    await bench.relays.leave("r1")
    taken_over = await bench.relays.take_over("r1", successor_id="r2")
    expected = {
        TakenOver("resp_1", "c1", DeliveryCheckpoint(1)),
        TakenOver("resp_2", "c1", DeliveryCheckpoint(4, TailState.IN_DOUBT)),
        TakenOver("resp_3", "c3", DeliveryCheckpoint(0, TailState.GRANTED)),
    }
    assert set(taken_over) == (expected if answered else set())
    assert await bench.relays.undelivered("r1") == set()
    assert await bench.relays.undelivered("r2") == {"resp_1", "resp_2", "resp_3"}
    for response in expected:
        meta = await described(bench.log, response.response_id)
        assert (meta.relay_id, meta.checkpoint) == ("r2", response.checkpoint)


async def test_one_of_which_nothing_is_left_is_forgotten(bench: Bench) -> None:
    await have(bench, "c1")
    await bench.relays.take_over("r1", successor_id="r2")
    assert await bench.relays.take_over("r1", successor_id="r2") == []
    assert await bench.relays.expired() == []


async def test_from_one_that_lives_nothing(bench: Bench) -> None:
    await bench.log.open(NEW)
    assert await bench.relays.take_over("r1", successor_id="r2") == []
    assert await bench.relays.undelivered("r1") == {"resp_1"}


async def test_from_one_that_nobody_knows_nothing(bench: Bench) -> None:
    assert await bench.relays.take_over("unknown", successor_id="r2") == []


async def test_one_that_came_back_keeps_it(bench: Bench) -> None:
    await have(bench, "c1")
    await bench.relays.heartbeat("r1", lease_s=600)
    assert await bench.relays.take_over("r1", successor_id="r2") == []


async def test_of_connections_as_many_as_asked_for(bench: Bench, *, answered: bool) -> None:
    ids = await have(bench, "ca", "cb", "cc", each=3)
    taken_over = await bench.relays.take_over("r1", successor_id="r2", limit=2)
    taken = await bench.relays.undelivered("r2")
    if answered:
        assert set(ids_of(taken_over)) == taken
        assert len({response.connection_id for response in taken_over}) == 2
        assert len(taken_over) == 6
        assert await bench.relays.expired() == ["r1"]  # an adopter that dies now loses nothing
    assert taken | await bench.relays.undelivered("r1") == set(ids)
    await adopt_all(bench.relays, "r1", "r2", limit=2)
    assert await bench.relays.undelivered("r2") == set(ids)
    assert await bench.relays.expired() == []


async def test_by_two_at_once_each_by_one(bench: Bench, *, answered: bool) -> None:
    ids = await have(bench, *(f"c-{number}" for number in range(12)), each=2)
    taken_over = await asyncio.gather(
        adopt_all(bench.relays, "r1", "r2", limit=2),
        adopt_all(bench.other_relays, "r1", "r3", limit=3),
    )
    if answered:
        assert ids_of([*taken_over[0], *taken_over[1]]) == sorted(ids)
    r2, r3 = await bench.relays.undelivered("r2"), await bench.relays.undelivered("r3")
    assert (r2 | r3, r2 & r3) == (set(ids), set())
    for response_id in ids:
        meta = await described(bench.log, response_id)
        assert response_id in (r2 if meta.relay_id == "r2" else r3)
    owners = {name: {response_id.split("_")[2] for response_id in r} for name, r in
              (("r2", r2), ("r3", r3))}  # fmt: skip
    assert not owners["r2"] & owners["r3"], "a connection was torn apart"


async def test_the_dead_relay_cannot_mark_any_more(bench: Bench) -> None:
    await have(bench, "c1")
    await bench.relays.take_over("r1", successor_id="r2")
    with pytest.raises(MovedError):
        await bench.log.checkpoint(
            "resp_r1_c1_0", DeliveryCheckpoint(), relay_id="r1", connection_id="c1"
        )
    await bench.log.checkpoint(
        "resp_r1_c1_0", DeliveryCheckpoint(), relay_id="r2", connection_id="c1"
    )


async def test_new_ones_of_the_connection_go_to_the_adopter(bench: Bench) -> None:
    await have(bench, "c1")
    await bench.relays.heartbeat("r2", lease_s=600)
    await bench.relays.heartbeat("r3", lease_s=600)
    await bench.relays.take_over("r1", successor_id="r3")
    await bench.log.open(NEW)
    assert (await described(bench.log)).relay_id == "r3"


async def test_what_has_ended_is_delivered_too(bench: Bench) -> None:
    (response_id,) = await have(bench, "c1")
    claim = await bench.log.claim(response_id)
    final = events(claim.next_sequence)
    await bench.log.append(response_id, epoch=claim.epoch, events=final, status=Status.FAILED)
    await bench.relays.take_over("r1", successor_id="r2")
    assert await bench.relays.undelivered("r2") == {response_id}


async def test_what_was_resumed_elsewhere_or_lost_is_left_out(bench: Bench) -> None:
    ids = await have(bench, "ca", "cb")
    await bench.relays.heartbeat("r2", lease_s=600)
    await bench.log.resume(ids[0], tenant_id="t", connection_id="c9", first=0)
    assert (await described(bench.log, ids[0])).relay_id == "r2"
    await bench.relays.take_over("r1", successor_id="r3")
    assert await bench.relays.undelivered("r3") == {ids[1]}
    bench.lose()
    assert await bench.relays.take_over("r3", successor_id="r2") == []


async def test_what_a_former_life_has_left(bench: Bench) -> None:
    ids = await have(bench, "ca", "cb", each=2)
    for _ in range(2):
        taken_over = await bench.relays.take_over("r1", successor_id="r1", limit=100)
        assert ids_of(taken_over) == ids
    assert await bench.relays.undelivered("r1") == set(ids)
    assert await bench.relays.expired() == ["r1"]
