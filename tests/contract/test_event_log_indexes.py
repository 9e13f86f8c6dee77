"""What the event log finds without a response's id: what runs, and what is overdue."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from tests.contract.conftest import Bench, MakeBench
from tests.contract.event_log_samples import NEW, end, open_and_claim, prepare
from tests.support.principals import a_principal


class TestRunning:
    async def test_for_a_connection(self, bench: Bench) -> None:
        await bench.connections.register("c2", principal=a_principal())
        claim = await open_and_claim(bench.log)
        await open_and_claim(bench.log, "resp_2")
        await bench.log.open(replace(NEW, response_id="resp_3", connection_id="c2"))
        assert await bench.log.running_for("c1") == {"resp_1", "resp_2"}
        await end(bench.log, claim)
        assert await bench.log.running_for("c1") == {"resp_2"}
        assert await bench.log.running_for("c2") == {"resp_3"}
        assert await bench.log.running_for("c3") == set()

    async def test_what_runs_is_found_after_its_connection_is_removed(self, bench: Bench) -> None:
        await open_and_claim(bench.log)
        await bench.connections.remove("c1")
        assert await bench.log.running_for("c1") == {"resp_1"}


class TestOverdue:
    async def test_before_and_after_the_deadline(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.5) as bench:
            await prepare(bench)
            await bench.log.open(NEW)
            assert await bench.log.overdue() == []
            await bench.seconds(0.52)
            assert await bench.log.overdue() == ["resp_1"]

    async def test_what_has_ended_is_not(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.01) as bench:
            await prepare(bench)
            await end(bench.log, await open_and_claim(bench.log))
            await bench.log.open(replace(NEW, response_id="resp_2"))
            await bench.seconds(0.03)
            assert await bench.log.overdue() == ["resp_2"]

    async def test_no_more_than_asked_for(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.01) as bench:
            await prepare(bench)
            for number in range(5):
                await bench.log.open(replace(NEW, response_id=f"resp_{number}"))
            await bench.seconds(0.03)
            assert len(await bench.log.overdue(limit=3)) == 3
            assert len(await bench.log.overdue()) == 5

    async def test_what_was_forgotten_is_not(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.01) as bench:
            await prepare(bench)
            await bench.log.open(NEW)
            await bench.log.forget("resp_1")
            await bench.log.forget("resp_unknown")
            await bench.seconds(0.03)
            assert await bench.log.overdue() == []


class TestAbandoned:
    """With a window of half a second."""

    @pytest.fixture
    async def bench(self, make_bench: MakeBench) -> AsyncIterator[Bench]:
        async with make_bench(resume_window_s=0.5) as made:
            await prepare(made)
            yield made

    async def test_before_and_after_the_window(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        assert await bench.log.abandoned() == []
        await bench.log.abandon("c1")
        assert await bench.log.abandoned() == []
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == ["resp_1"]

    async def test_what_runs_for_others_is_not(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.open(replace(NEW, response_id="resp_2", connection_id="c2"))
        await bench.log.abandon("c2")
        await bench.log.abandon("unknown")
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == ["resp_2"]

    async def test_again_does_not_begin_anew(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.abandon("c1")
        await bench.seconds(0.3)
        await bench.log.abandon("c1")
        await bench.seconds(0.3)
        assert await bench.log.abandoned() == ["resp_1"]

    async def test_what_has_ended_is_not(self, bench: Bench) -> None:
        before, after = await open_and_claim(bench.log, "resp_2"), await open_and_claim(bench.log)
        await end(bench.log, before, response_id="resp_2")
        await bench.log.abandon("c1")
        await end(bench.log, after)
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == []

    async def test_what_was_forgotten_is_not(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.abandon("c1")
        await bench.log.forget("resp_1")
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == []

    async def test_no_more_than_asked_for(self, bench: Bench) -> None:
        for number in range(5):
            await bench.log.open(replace(NEW, response_id=f"resp_{number}"))
        await bench.log.abandon("c1")
        await bench.seconds(0.52)
        assert len(await bench.log.abandoned(limit=3)) == 3
        assert len(await bench.log.abandoned()) == 5

    async def test_what_was_resumed_is_not_and_can_be_abandoned_again(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.abandon("c1")
        await bench.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await bench.log.abandon("c1")  # this one's end was noticed late
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == []
        await bench.log.abandon("c2")
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == ["resp_1"]

    async def test_where_somebody_is_told_nothing_is_abandoned(self, bench: Bench) -> None:
        await bench.log.open(NEW)
        await bench.log.abandon("c1")
        checkpoint = DeliveryCheckpoint(0, TailState.IN_DOUBT)
        await bench.log.checkpoint("resp_1", checkpoint, relay_id="r1", connection_id="c1")
        await bench.seconds(0.52)
        assert await bench.log.abandoned() == []
