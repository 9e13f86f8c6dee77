"""Followed responses: no connection waits for them, and who reads them keeps them running."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.due import DueReason
from axon.event_log.lanes import lane_of
from axon.event_log.log import LostResponse, Status
from axon.event_log.openings import OpenResult, Resumption
from axon.event_log.publication import Kind, Publication
from axon.exceptions import MovedError
from tests.contract.axon.event_log.event_log_samples import (
    NEW,
    described,
    end,
    events,
    numbers,
    open_and_claim,
)
from tests.contract.conftest import EventLogHarness, MakeHarness
from tests.support.principals import a_principal

FOLLOWED = replace(NEW, connection_id="", lane=lane_of(None))
WINDOW_S = 0.2
PAST_S = 0.25


@pytest.fixture
async def harness(
    make_harness: MakeHarness, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EventLogHarness]:
    """Yield a harness without a relay; its window is short, and one extension lasts the test."""
    monkeypatch.setattr("axon.event_log.attendance.EXTEND_EVERY_S", 0.0)
    async with make_harness(resume_window_s=WINDOW_S, attendance_s=60.0) as made:
        await made.models.register(("echo",), retention_s=600)
        yield made


async def resume(harness: EventLogHarness, *, first: int = 0) -> None:
    await harness.relays.heartbeat("r1", lease_s=600)
    await harness.connections.register("c1", principal=a_principal())
    resumption = await harness.log.resume("resp_1", tenant_id="t", connection_id="c1", first=first)
    assert resumption is Resumption.RESUMED


async def test_followed_response_needs_neither_relay_nor_connection(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log, new=FOLLOWED)
    connection = await harness.log.append("resp_1", epoch=claim.epoch, events=events(2))
    assert connection == ""
    meta = await described(harness.log)
    assert (meta.followed, meta.connection_id, meta.relay_id) == (True, "", "")
    await end(harness.log, replace(claim, next_sequence=3))
    assert await numbers(harness.log) == [0, 1, 2, 3]


async def test_followed_response_is_published_to_no_relay(harness: EventLogHarness) -> None:
    await harness.relays.heartbeat("r1", lease_s=600)
    claim = await open_and_claim(harness.log, new=FOLLOWED)
    await end(harness.log, claim)
    assert harness.published() == []
    assert await harness.relays.undelivered("r1") == set()


async def test_followed_response_is_kept_by_no_checkpoint(harness: EventLogHarness) -> None:
    await open_and_claim(harness.log, new=FOLLOWED)
    with pytest.raises(MovedError):
        await harness.log.checkpoint(
            "resp_1", DeliveryCheckpoint(1), relay_id="r1", connection_id="c1"
        )
    # A worker of the version before gives one to a relay when it restores it.
    await harness.log.checkpoint("resp_1", DeliveryCheckpoint(1), relay_id="", connection_id="")
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == ["resp_1"]


async def test_followed_response_is_cancelled_unless_somebody_reads_it(
    harness: EventLogHarness,
) -> None:
    for number in (1, 2):
        await harness.log.open(replace(FOLLOWED, response_id=f"resp_{number}"))
    await harness.attendance.extend(["resp_1", "resp_unknown"])
    await harness.seconds(PAST_S)
    (due,) = (await harness.due.take_abandoned(limit=9)).due
    assert (due.meta, due.reason) == (
        await described(harness.log, "resp_2"),
        DueReason.ABANDONED,
    )


async def test_followed_response_whose_client_left_is_cancelled_soon_unless_another_one_reads_it(
    harness: EventLogHarness,
) -> None:
    ids = [f"resp_{number}" for number in range(4)]
    for response_id in ids:
        await harness.log.open(replace(FOLLOWED, response_id=response_id))
    await harness.attendance.extend(ids)
    for response_id in (*ids, "resp_unknown"):
        await harness.attendance.leave(response_id)
    await resume(harness)  # of resp_1, by a connection
    await harness.attendance.leave("resp_1")
    await harness.attendance.extend(["resp_2"])
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == ["resp_0", "resp_3"]


async def test_followed_response_that_has_ended_is_not_cancelled_by_one_who_leaves(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log, new=FOLLOWED)
    await end(harness.log, claim)
    await harness.attendance.leave("resp_1")
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == []


async def test_followed_response_waits_for_a_reader_for_the_whole_window(
    make_harness: MakeHarness,
) -> None:
    """Also for the first one, whose process may die before it extends anything."""
    async with make_harness(resume_window_s=60.0, attendance_s=0.0) as harness:
        await harness.models.register(("echo",), retention_s=600)
        await harness.log.open(FOLLOWED)
        await harness.attendance.extend(["resp_1"])  # never shortens what is left
        await harness.seconds(PAST_S)
        assert await harness.log.abandoned() == []


async def test_followed_response_that_has_ended_is_not_extended(harness: EventLogHarness) -> None:
    claim = await open_and_claim(harness.log, new=FOLLOWED)
    await end(harness.log, claim)
    await harness.attendance.extend(["resp_1"])
    await harness.attendance.extend([])
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == []


@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.FAILED])
async def test_followed_response_that_was_lost_is_restored_without_a_relay(
    harness: EventLogHarness, status: Status
) -> None:
    lost = LostResponse(
        response_id="resp_1",
        tenant_id="t",
        connection_id="",
        job=NEW.job,
        age_ms=0,
        epoch=3,
        events=events(0, 4),
        status=status,
    )
    await harness.log.restore(lost)
    assert (await described(harness.log)).followed
    assert await numbers(harness.log) == [0, 1, 2, 3]
    await harness.log.restore(replace(lost, response_id="resp_2"))
    await harness.attendance.extend(["resp_2"])
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == ([] if status.terminal else ["resp_1"])


async def test_followed_response_that_is_resumed_is_delivered_in_its_lane(
    harness: EventLogHarness,
) -> None:
    claim = await open_and_claim(harness.log, new=FOLLOWED)
    await resume(harness, first=1)
    meta = await described(harness.log)
    assert (meta.followed, meta.connection_id, meta.relay_id) == (False, "c1", "r1")
    assert (meta.position.lane, meta.position.before) == (lane_of(None), "")
    assert meta.checkpoint == DeliveryCheckpoint(1)
    connection = await harness.log.append("resp_1", epoch=claim.epoch, events=events(2))
    assert connection == "c1"
    published = [(relay, Publication.decode(data)) for relay, data in harness.published()]
    assert [(relay, each.kind, each.first) for relay, each in published] == [
        ("r1", Kind.RESUMED, 1),
        ("r1", Kind.EVENTS, 2),
    ]
    # The next one of the lane waits for it.
    await harness.log.open(replace(NEW, response_id="resp_2", lane=lane_of(None)))
    assert (await described(harness.log, "resp_2")).position.before == "resp_1"


async def test_followed_response_that_is_resumed_is_its_connections_to_abandon(
    harness: EventLogHarness,
) -> None:
    await open_and_claim(harness.log, new=FOLLOWED)
    await resume(harness)
    await harness.seconds(PAST_S)
    await harness.attendance.extend(["resp_1"])
    assert await harness.log.abandoned() == []
    await harness.log.abandon("c1")
    await harness.attendance.extend(["resp_1"])
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == ["resp_1"]


@pytest.mark.parametrize("connection_id", ["", "c1"])
async def test_followed_response_that_has_a_fork_is_resumed_only_before_it(
    harness: EventLogHarness, connection_id: str
) -> None:
    """Behind a fork of a delivered one, a relay has confirmed what the client has."""
    await harness.relays.heartbeat("r1", lease_s=600)
    await harness.connections.register("c1", principal=a_principal())
    claim = await open_and_claim(harness.log, new=replace(FOLLOWED, connection_id=connection_id))
    before = harness.snapshot()
    await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 3))
    harness.rewind(before)
    claim = await harness.log.claim("resp_1")
    await resume(harness)
    await harness.log.append("resp_1", epoch=claim.epoch, events=events(2, 3))
    behind = await harness.log.resume("resp_1", tenant_id="t", connection_id="c1", first=4)
    assert behind is (Resumption.RESUMED if connection_id else Resumption.FORKED)
    await resume(harness, first=2)


async def test_ended_log_is_kept_for_readers_that_wait_for_their_lane(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(retention_s=1) as harness:
        await harness.models.register(("echo",), retention_s=600)
        for name in ("resp_1", "resp_2"):
            claim = await open_and_claim(harness.log, name, new=FOLLOWED)
            await end(harness.log, claim, response_id=name)
        for _ in range(2):
            await harness.seconds(0.6)
            await harness.attendance.keep_ended(["resp_1", "resp_unknown"])
        assert await numbers(harness.log) == [0, 1, 2]
        assert await harness.log.read("resp_2") == []
        await harness.seconds(1.1)
        assert await numbers(harness.log) == []


async def test_delivered_response_is_not_extended_by_its_readers(harness: EventLogHarness) -> None:
    await harness.relays.heartbeat("r1", lease_s=600)
    await open_and_claim(harness.log)
    await harness.log.abandon("c1")
    await harness.attendance.extend(["resp_1"])
    await harness.seconds(PAST_S)
    assert await harness.log.abandoned() == ["resp_1"]


async def test_followed_response_is_repeated_by_its_idempotency_key(
    harness: EventLogHarness,
) -> None:
    keyed = replace(FOLLOWED, idempotency="key", fingerprint="one")
    await harness.log.open(keyed)
    again = await harness.log.open(replace(keyed, response_id="resp_2"))
    assert (again.outcome, again.first_id) == (OpenResult.REPEATED, "resp_1")
    assert await harness.log.describe("resp_2") is None
