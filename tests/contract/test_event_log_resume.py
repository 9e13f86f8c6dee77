"""Responses that go on at another connection, and how far clients were told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from axon.directory.relays import LATE_RELAY_S
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.log import Claim, Resumption, Status
from axon.exceptions import MissingResponseError, MovedError
from tests.contract.conftest import Bench, MakeBench
from tests.contract.event_log_samples import (
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


async def resume(
    bench: Bench, *, tenant_id: str = "t", connection_id: str = "c2", first: int = 0
) -> Resumption:
    return await bench.log.resume(
        "resp_1", tenant_id=tenant_id, connection_id=connection_id, first=first
    )


def resumed(first: int, connection_id: str = "c2") -> bytes:
    return f"resp_1 {connection_id} {first} R".encode()


class TestResume:
    async def test_by_the_same_relay(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        bench.published()
        assert await resume(bench, first=1) is Resumption.RESUMED
        assert bench.published() == [("r1", resumed(1))]
        meta = await described(bench.log)
        assert (meta.connection_id, meta.relay_id, meta.checkpoint) == (
            "c2",
            "r1",
            DeliveryCheckpoint(1),
        )
        assert await bench.log.running_for("c1") == set()
        assert await bench.log.running_for("c2") == {"resp_1"}
        assert await bench.relays.undelivered("r1") == {"resp_1"}
        assert await bench.log.append("resp_1", epoch=claim.epoch, events=events(2)) == "c2"
        line = payload("resp_1", 2, "-", [b'{"n":2}']).replace(b" c1 ", b" c2 ")
        assert bench.published() == [("r1", line)]

    async def test_by_another_relay(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.relays.heartbeat("r2", lease_s=600)
        bench.published()
        assert await resume(bench) is Resumption.RESUMED
        assert bench.published() == [("r1", b"resp_1 c1 0 M"), ("r2", resumed(0))]
        assert (await described(bench.log)).relay_id == "r2"
        assert await bench.relays.undelivered("r1") == set()
        assert await bench.relays.undelivered("r2") == {"resp_1"}

    async def test_on_the_same_connection(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        bench.published()
        assert await resume(bench, connection_id="c1") is Resumption.RESUMED
        assert bench.published() == [("r1", resumed(0, "c1"))]
        assert await bench.log.running_for("c1") == {"resp_1"}

    @pytest.mark.parametrize("first", [0, 1, 2])
    async def test_what_has_ended(self, bench: Bench, first: int) -> None:
        await end(bench.log, await open_and_claim(bench.log))
        await bench.relays.delivered("r1", "resp_1")
        bench.published()
        assert await resume(bench, first=first) is Resumption.RESUMED
        assert bench.published() == [("r1", resumed(first))]
        assert await bench.relays.undelivered("r1") == {"resp_1"}
        assert await bench.log.running_for("c2") == set()

    async def test_what_ended_with_the_event_before(self, bench: Bench) -> None:
        await end(bench.log, await open_and_claim(bench.log))
        assert await resume(bench, first=3) is Resumption.AHEAD

    async def test_the_next_event_is_still_to_come(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        assert await resume(bench, first=2) is Resumption.RESUMED

    @pytest.mark.parametrize(
        ("changes", "resumption"),
        [
            ({"first": 2}, Resumption.AHEAD),
            ({"tenant_id": "other"}, Resumption.MISSING),
            ({"tenant_id": "other", "first": 2}, Resumption.MISSING),
            ({"connection_id": "gone"}, Resumption.GONE),
        ],
    )
    async def test_refused(
        self, bench: Bench, changes: dict[str, str | int], resumption: Resumption
    ) -> None:
        await bench.connections.remove("gone")
        await bench.log.open(NEW)
        before = await described(bench.log)
        bench.published()
        assert await resume(bench, **changes) is resumption  # type: ignore[arg-type]
        assert await described(bench.log) == before
        assert await bench.log.running_for("c1") == {"resp_1"}
        assert bench.published() == []

    async def test_what_is_not_there(self, bench: Bench) -> None:
        assert await resume(bench) is Resumption.MISSING

    async def test_without_a_relay(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.relays.heartbeat("r1", lease_s=-(LATE_RELAY_S + 1))
        assert await resume(bench) is Resumption.NO_RELAY
        assert (await described(bench.log)).connection_id == "c1"

    async def test_two_connections_at_once_leave_one(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        await bench.relays.heartbeat("r2", lease_s=600)
        await asyncio.gather(*(resume(bench, connection_id=f"c{n}") for n in range(2, 12)))
        meta = await described(bench.log)
        waiting = [f"c{n}" for n in range(12) if await bench.log.running_for(f"c{n}")]
        assert waiting == [meta.connection_id]
        relays = [name for name in ("r1", "r2") if await bench.relays.undelivered(name)]
        assert relays == [meta.relay_id]


class TestResumeLate:
    @pytest.fixture
    async def bench(self, make_bench: MakeBench) -> AsyncIterator[Bench]:
        async with make_bench(retention_s=1) as made:
            await prepare(made)
            await end(made.log, await open_and_claim(made.log))
            yield made

    async def test_events_that_have_expired_are_missing(self, bench: Bench) -> None:
        await bench.seconds(1.1)
        assert await resume(bench) is Resumption.MISSING

    async def test_there_is_time_to_deliver_them(self, bench: Bench) -> None:
        await bench.seconds(0.6)
        assert await resume(bench) is Resumption.RESUMED
        await bench.seconds(0.6)
        assert await numbers(bench.log) == [0, 1, 2]
        await bench.seconds(0.5)
        assert await resume(bench) is Resumption.MISSING


async def checkpoint(
    bench: Bench,
    number: int,
    tail: TailState = TailState.NONE,
    *,
    relay_id: str = "r1",
    connection_id: str = "c1",
) -> None:
    await bench.log.checkpoint(
        "resp_1", DeliveryCheckpoint(number, tail), relay_id=relay_id, connection_id=connection_id
    )


async def checkpointed(bench: Bench) -> DeliveryCheckpoint:
    return (await described(bench.log)).checkpoint


class TestCheckpoint:
    async def test_what_was_noted_is_known(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        for noted in (
            DeliveryCheckpoint(0, TailState.IN_DOUBT),
            DeliveryCheckpoint(1),
            DeliveryCheckpoint(1, TailState.IN_DOUBT),
            DeliveryCheckpoint(9, TailState.CLOSED),
        ):
            await checkpoint(bench, noted.next_sequence, noted.tail)
            assert await checkpointed(bench) == noted

    async def test_a_post_that_surely_failed(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await checkpoint(bench, 0, TailState.IN_DOUBT)
        await checkpoint(bench, 0)
        assert await checkpointed(bench) == DeliveryCheckpoint(0)

    async def test_of_what_has_ended(self, bench: Bench) -> None:
        await end(bench.log, await open_and_claim(bench.log))
        await checkpoint(bench, 2, TailState.IN_DOUBT)
        assert await checkpointed(bench) == DeliveryCheckpoint(2, TailState.IN_DOUBT)
        assert (await described(bench.log)).status is Status.COMPLETED

    async def test_of_nothing(self, bench: Bench) -> None:
        with pytest.raises(MissingResponseError):
            await checkpoint(bench, 0)

    @pytest.mark.parametrize("changes", [{"relay_id": "r2"}, {"connection_id": "c2"}])
    async def test_by_others(self, bench: Bench, changes: dict[str, str]) -> None:
        await bench.log.open(NEW)
        with pytest.raises(MovedError):
            await checkpoint(bench, 1, **changes)  # type: ignore[arg-type]
        assert await checkpointed(bench) == DeliveryCheckpoint(0, TailState.GRANTED)

    async def test_by_the_former_ones_after_a_resumption(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        await bench.relays.heartbeat("r2", lease_s=600)
        await resume(bench, first=2)
        with pytest.raises(MovedError):
            await checkpoint(bench, 2, TailState.IN_DOUBT)
        await checkpoint(bench, 2, TailState.IN_DOUBT, relay_id="r2", connection_id="c2")

    async def test_one_that_has_slept_cannot_go_back(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        await checkpoint(bench, 2)
        with pytest.raises(MovedError):
            await checkpoint(bench, 1, TailState.IN_DOUBT)
        assert await checkpointed(bench) == DeliveryCheckpoint(2)

    async def test_a_resumption_goes_back(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        await checkpoint(bench, 2)
        await resume(bench, connection_id="c1", first=0)
        await checkpoint(bench, 0, TailState.IN_DOUBT)
        assert await checkpointed(bench) == DeliveryCheckpoint(0, TailState.IN_DOUBT)


class TestOffers:
    """Events that a relay may post without marking that first."""

    def granted(self, bench: Bench) -> list[bool]:
        """Of each publication of events since this was last asked."""
        headers = [payload.partition(b"\n")[0] for _, payload in bench.published()]
        return [header.endswith(b"!") for header in headers]

    async def append(self, bench: Bench, claim: Claim, first: int) -> None:
        await bench.log.append("resp_1", epoch=claim.epoch, events=events(first))

    async def test_the_first_event_is_offered(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        assert self.granted(bench) == [True]
        assert await checkpointed(bench) == DeliveryCheckpoint(0, TailState.GRANTED)

    async def test_nothing_is_where_the_relay_does_not_listen(self, bench: Bench) -> None:
        bench.deafen("r1")
        await bench.log.open(NEW)
        assert await checkpointed(bench) == DeliveryCheckpoint()

    async def test_each_one_is_whose_predecessors_have_arrived(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await checkpoint(bench, 1)
        claim = await bench.log.claim("resp_1", in_progress=IN_PROGRESS)
        assert await checkpointed(bench) == DeliveryCheckpoint(1, TailState.GRANTED)
        await checkpoint(bench, 2)
        await self.append(bench, claim, 2)
        assert self.granted(bench) == [True, True, True]
        assert await checkpointed(bench) == DeliveryCheckpoint(2, TailState.GRANTED)

    @pytest.mark.parametrize(
        ("number", "tail"),
        [
            (1, TailState.NONE),
            (1, TailState.IN_DOUBT),
            (2, TailState.IN_DOUBT),
            (2, TailState.CLOSED),
        ],
    )
    async def test_others_are_not(self, bench: Bench, number: int, tail: TailState) -> None:
        claim = await open_and_claim(bench.log)
        await checkpoint(bench, number, tail)
        bench.published()
        await self.append(bench, claim, 2)
        assert self.granted(bench) == [False]
        assert await checkpointed(bench) == DeliveryCheckpoint(number, tail)

    async def test_after_a_resumption_what_the_client_lacks_comes_first(self, bench: Bench) -> None:
        claim = await open_and_claim(bench.log)
        await resume(bench, first=1)
        bench.published()
        await self.append(bench, claim, 2)
        assert self.granted(bench) == [False]
        await resume(bench, first=3)
        bench.published()
        await self.append(bench, claim, 3)
        assert self.granted(bench) == [True]

    async def test_who_has_not_heard_of_it_cannot_take_it_back(self, bench: Bench) -> None:
        """A call that was answered late, and is repeated."""
        claim = await open_and_claim(bench.log)
        await checkpoint(bench, 2)
        await self.append(bench, claim, 2)
        await checkpoint(bench, 2)
        assert await checkpointed(bench) == DeliveryCheckpoint(2, TailState.GRANTED)

    @pytest.mark.parametrize(
        "new",
        [
            DeliveryCheckpoint(2, TailState.CLOSED),
            DeliveryCheckpoint(2, TailState.IN_DOUBT),
            DeliveryCheckpoint(3),
        ],
    )
    async def test_others_can(self, bench: Bench, new: DeliveryCheckpoint) -> None:
        claim = await open_and_claim(bench.log)
        await checkpoint(bench, 2)
        await self.append(bench, claim, 2)
        await checkpoint(bench, new.next_sequence, new.tail)
        assert await checkpointed(bench) == new
