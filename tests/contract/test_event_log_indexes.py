"""What the event log finds without a response's id: what runs, and what is overdue."""

from dataclasses import replace

from tests.contract.conftest import Bench, MakeBench
from tests.contract.logged import NEW, end, open_and_claim


class TestRunning:
    async def test_for_a_connection(self, bench: Bench) -> None:
        await bench.connections.enter("c2", tenant_id="t")
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
    async def prepared(self, bench: Bench) -> None:
        await bench.models.announce(("echo",), retention_s=600)
        await bench.relays.heartbeat("r1", lease_s=600)
        await bench.connections.enter("c1", tenant_id="t")

    async def test_before_and_after_the_deadline(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.5) as bench:
            await self.prepared(bench)
            await bench.log.open(NEW)
            assert await bench.log.overdue() == []
            await bench.seconds(0.52)
            assert await bench.log.overdue() == ["resp_1"]

    async def test_what_has_ended_is_not(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.01) as bench:
            await self.prepared(bench)
            await end(bench.log, await open_and_claim(bench.log))
            await bench.log.open(replace(NEW, response_id="resp_2"))
            await bench.seconds(0.03)
            assert await bench.log.overdue() == ["resp_2"]

    async def test_no_more_than_asked_for(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.01) as bench:
            await self.prepared(bench)
            for number in range(5):
                await bench.log.open(replace(NEW, response_id=f"resp_{number}"))
            await bench.seconds(0.03)
            assert len(await bench.log.overdue(limit=3)) == 3
            assert len(await bench.log.overdue()) == 5

    async def test_what_was_closed_is_not(self, make_bench: MakeBench) -> None:
        async with make_bench(deadline_s=0.01) as bench:
            await self.prepared(bench)
            await bench.log.open(NEW)
            await bench.log.close_overdue("resp_1")
            await bench.log.close_overdue("resp_unknown")
            await bench.seconds(0.03)
            assert await bench.log.overdue() == []
