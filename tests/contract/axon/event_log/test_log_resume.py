"""Responses that go on at another connection, and how far clients were told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.directory.relays import LATE_RELAY_S
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Claim, Status
from axon.event_log.openings import Resumption
from axon.exceptions import MissingResponseError, MovedError
from tests.contract.axon.event_log.event_log_samples import (
    IN_PROGRESS,
    NEW,
    described,
    end,
    events,
    numbers,
    open_and_claim,
    payload,
    prepare,
)
from tests.contract.conftest import EventLogHarness, MakeHarness


async def resume(
    harness: EventLogHarness, *, tenant_id: str = "t", connection_id: str = "c2", first: int = 0
) -> Resumption:
    return await harness.log.resume(
        "resp_1", tenant_id=tenant_id, connection_id=connection_id, first=first
    )


def resumed(first: int, connection_id: str = "c2") -> bytes:
    return f"resp_1 {connection_id} {first} R".encode()


class TestEventLogResume:
    async def test_stays_with_the_same_relay(self, harness: EventLogHarness) -> None:
        claim = await open_and_claim(harness.log)
        harness.published()
        assert await resume(harness, first=1) is Resumption.RESUMED
        assert harness.published() == [("r1", resumed(1))]
        meta = await described(harness.log)
        assert (meta.connection_id, meta.relay_id, meta.checkpoint) == (
            "c2",
            "r1",
            DeliveryCheckpoint(1),
        )
        assert await harness.log.running_for("c1") == set()
        assert await harness.log.running_for("c2") == {"resp_1"}
        assert await harness.relays.undelivered("r1") == {"resp_1"}
        assert await harness.log.append("resp_1", epoch=claim.epoch, events=events(2)) == "c2"
        line = payload("resp_1", 2, "-", [b'{"n":2}']).replace(b" c1 ", b" c2 ")
        assert harness.published() == [("r1", line)]

    async def test_moves_to_another_relay(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.relays.heartbeat("r2", lease_s=600)
        harness.published()
        assert await resume(harness) is Resumption.RESUMED
        assert harness.published() == [("r1", b"resp_1 c1 0 M v1 to=c2"), ("r2", resumed(0))]
        assert (await described(harness.log)).relay_id == "r2"
        assert await harness.relays.undelivered("r1") == set()
        assert await harness.relays.undelivered("r2") == {"resp_1"}

    async def test_may_keep_the_connection(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        harness.published()
        assert await resume(harness, connection_id="c1") is Resumption.RESUMED
        assert harness.published() == [("r1", resumed(0, "c1"))]
        assert await harness.log.running_for("c1") == {"resp_1"}

    @pytest.mark.parametrize("first", [0, 1, 2])
    async def test_delivers_an_ended_response(self, harness: EventLogHarness, first: int) -> None:
        await end(harness.log, await open_and_claim(harness.log))
        await harness.relays.delivered("r1", "resp_1")
        harness.published()
        assert await resume(harness, first=first) is Resumption.RESUMED
        assert harness.published() == [("r1", resumed(first))]
        assert await harness.relays.undelivered("r1") == {"resp_1"}
        assert await harness.log.running_for("c2") == set()

    async def test_is_ahead_of_an_end_that_was_received(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log))
        assert await resume(harness, first=3) is Resumption.AHEAD

    async def test_may_begin_with_an_event_to_come(self, harness: EventLogHarness) -> None:
        await open_and_claim(harness.log)
        assert await resume(harness, first=2) is Resumption.RESUMED

    @pytest.mark.parametrize(
        ("changes", "resumption"),
        [
            ({"first": 2}, Resumption.AHEAD),
            ({"tenant_id": "other"}, Resumption.MISSING),
            ({"tenant_id": "other", "first": 2}, Resumption.MISSING),
            ({"connection_id": "gone"}, Resumption.GONE),
        ],
    )
    async def test_refuses_what_is_ahead_foreign_or_gone(
        self, harness: EventLogHarness, changes: dict[str, str | int], resumption: Resumption
    ) -> None:
        await harness.connections.remove("gone")
        await harness.log.open(NEW)
        before = await described(harness.log)
        harness.published()
        assert await resume(harness, **changes) is resumption  # type: ignore[arg-type]
        assert await described(harness.log) == before
        assert await harness.log.running_for("c1") == {"resp_1"}
        assert harness.published() == []

    async def test_is_missing_for_a_missing_log(self, harness: EventLogHarness) -> None:
        assert await resume(harness) is Resumption.MISSING

    async def test_needs_a_relay(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.relays.heartbeat("r1", lease_s=-(LATE_RELAY_S + 1))
        assert await resume(harness) is Resumption.NO_RELAY
        assert (await described(harness.log)).connection_id == "c1"

    async def test_leaves_one_of_many_concurrent_connections(
        self, harness: EventLogHarness
    ) -> None:
        await open_and_claim(harness.log)
        await harness.relays.heartbeat("r2", lease_s=600)
        await asyncio.gather(*(resume(harness, connection_id=f"c{n}") for n in range(2, 12)))
        meta = await described(harness.log)
        waiting = [f"c{n}" for n in range(12) if await harness.log.running_for(f"c{n}")]
        assert waiting == [meta.connection_id]
        relays = [name for name in ("r1", "r2") if await harness.relays.undelivered(name)]
        assert relays == [meta.relay_id]


class TestEventLogResumeAfterTheEnd:
    @pytest.fixture
    async def harness(self, make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
        async with make_harness(retention_s=1) as made:
            await prepare(made)
            await end(made.log, await open_and_claim(made.log))
            yield made

    async def test_is_missing_for_expired_events(self, harness: EventLogHarness) -> None:
        await harness.seconds(1.1)
        assert await resume(harness) is Resumption.MISSING

    async def test_extends_the_retention_once(self, harness: EventLogHarness) -> None:
        await harness.seconds(0.6)
        assert await resume(harness) is Resumption.RESUMED
        await harness.seconds(0.6)
        assert await numbers(harness.log) == [0, 1, 2]
        await harness.seconds(0.5)
        assert await resume(harness) is Resumption.MISSING


async def checkpoint(
    harness: EventLogHarness,
    number: int,
    tail: TailState = TailState.NONE,
    *,
    relay_id: str = "r1",
    connection_id: str = "c1",
) -> None:
    await harness.log.checkpoint(
        "resp_1", DeliveryCheckpoint(number, tail), relay_id=relay_id, connection_id=connection_id
    )


async def checkpointed(harness: EventLogHarness) -> DeliveryCheckpoint:
    return (await described(harness.log)).checkpoint


class TestEventLogCheckpoint:
    async def test_is_described(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        for noted in (
            DeliveryCheckpoint(0, TailState.IN_DOUBT),
            DeliveryCheckpoint(1),
            DeliveryCheckpoint(1, TailState.IN_DOUBT),
            DeliveryCheckpoint(9, TailState.CLOSED),
        ):
            await checkpoint(harness, noted.next_sequence, noted.tail)
            assert await checkpointed(harness) == noted

    async def test_takes_back_a_post_that_certainly_failed(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await checkpoint(harness, 0, TailState.IN_DOUBT)
        await checkpoint(harness, 0)
        assert await checkpointed(harness) == DeliveryCheckpoint(0)

    async def test_is_kept_after_the_end(self, harness: EventLogHarness) -> None:
        await end(harness.log, await open_and_claim(harness.log))
        await checkpoint(harness, 2, TailState.IN_DOUBT)
        assert await checkpointed(harness) == DeliveryCheckpoint(2, TailState.IN_DOUBT)
        assert (await described(harness.log)).status is Status.COMPLETED

    async def test_raises_for_a_missing_log(self, harness: EventLogHarness) -> None:
        with pytest.raises(MissingResponseError):
            await checkpoint(harness, 0)

    @pytest.mark.parametrize("changes", [{"relay_id": "r2"}, {"connection_id": "c2"}])
    async def test_has_moved_for_another_relay_or_connection(
        self, harness: EventLogHarness, changes: dict[str, str]
    ) -> None:
        await harness.log.open(NEW)
        with pytest.raises(MovedError):
            await checkpoint(harness, 1, **changes)  # type: ignore[arg-type]
        assert await checkpointed(harness) == DeliveryCheckpoint(0, TailState.GRANTED)

    async def test_has_moved_for_the_former_relay_after_a_resumption(
        self, harness: EventLogHarness
    ) -> None:
        await open_and_claim(harness.log)
        await harness.relays.heartbeat("r2", lease_s=600)
        await resume(harness, first=2)
        with pytest.raises(MovedError):
            await checkpoint(harness, 2, TailState.IN_DOUBT)
        await checkpoint(harness, 2, TailState.IN_DOUBT, relay_id="r2", connection_id="c2")

    async def test_cannot_go_back(self, harness: EventLogHarness) -> None:
        await open_and_claim(harness.log)
        await checkpoint(harness, 2)
        with pytest.raises(MovedError):
            await checkpoint(harness, 1, TailState.IN_DOUBT)
        assert await checkpointed(harness) == DeliveryCheckpoint(2)

    async def test_goes_back_by_a_resumption(self, harness: EventLogHarness) -> None:
        await open_and_claim(harness.log)
        await checkpoint(harness, 2)
        await resume(harness, connection_id="c1", first=0)
        await checkpoint(harness, 0, TailState.IN_DOUBT)
        assert await checkpointed(harness) == DeliveryCheckpoint(0, TailState.IN_DOUBT)


class TestGrants:
    """Events that a relay may post without marking that first."""

    def granted(self, harness: EventLogHarness) -> list[bool]:
        """Return for each publication since the last call whether its events are granted."""
        headers = [payload.partition(b"\n")[0] for _, payload in harness.published()]
        return [header.endswith(b"!") for header in headers]

    async def append(self, harness: EventLogHarness, claim: Claim, first: int) -> None:
        await harness.log.append("resp_1", epoch=claim.epoch, events=events(first))

    async def test_first_event_is_granted(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        assert self.granted(harness) == [True]
        assert await checkpointed(harness) == DeliveryCheckpoint(0, TailState.GRANTED)

    async def test_relay_that_does_not_listen_gets_none(self, harness: EventLogHarness) -> None:
        harness.disconnect("r1")
        await harness.log.open(NEW)
        assert await checkpointed(harness) == DeliveryCheckpoint()

    async def test_event_whose_predecessors_have_arrived_is_granted(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await checkpoint(harness, 1)
        claim = await harness.log.claim("resp_1", in_progress=IN_PROGRESS)
        assert await checkpointed(harness) == DeliveryCheckpoint(1, TailState.GRANTED)
        await checkpoint(harness, 2)
        await self.append(harness, claim, 2)
        assert self.granted(harness) == [True, True, True]
        assert await checkpointed(harness) == DeliveryCheckpoint(2, TailState.GRANTED)

    @pytest.mark.parametrize(
        ("number", "tail"),
        [
            (1, TailState.NONE),
            (1, TailState.IN_DOUBT),
            (2, TailState.IN_DOUBT),
            (2, TailState.CLOSED),
        ],
    )
    async def test_other_events_are_not_granted(
        self, harness: EventLogHarness, number: int, tail: TailState
    ) -> None:
        claim = await open_and_claim(harness.log)
        await checkpoint(harness, number, tail)
        harness.published()
        await self.append(harness, claim, 2)
        assert self.granted(harness) == [False]
        assert await checkpointed(harness) == DeliveryCheckpoint(number, tail)

    async def test_resumed_response_gets_none_before_the_client_has_caught_up(
        self, harness: EventLogHarness
    ) -> None:
        claim = await open_and_claim(harness.log)
        await resume(harness, first=1)
        harness.published()
        await self.append(harness, claim, 2)
        assert self.granted(harness) == [False]
        await resume(harness, first=3)
        harness.published()
        await self.append(harness, claim, 3)
        assert self.granted(harness) == [True]

    async def test_late_checkpoint_does_not_take_a_grant_back(
        self, harness: EventLogHarness
    ) -> None:
        """A call that was answered late, and is repeated."""
        claim = await open_and_claim(harness.log)
        await checkpoint(harness, 2)
        await self.append(harness, claim, 2)
        await checkpoint(harness, 2)
        assert await checkpointed(harness) == DeliveryCheckpoint(2, TailState.GRANTED)

    @pytest.mark.parametrize(
        "new",
        [
            DeliveryCheckpoint(2, TailState.CLOSED),
            DeliveryCheckpoint(2, TailState.IN_DOUBT),
            DeliveryCheckpoint(3),
        ],
    )
    async def test_later_or_closed_checkpoint_replaces_a_grant(
        self, harness: EventLogHarness, new: DeliveryCheckpoint
    ) -> None:
        claim = await open_and_claim(harness.log)
        await checkpoint(harness, 2)
        await self.append(harness, claim, 2)
        await checkpoint(harness, new.next_sequence, new.tail)
        assert await checkpointed(harness) == new
