"""How the consumer ends, in virtual time."""

import asyncio

import pytest

from axon.jobs import Job
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import VISIBILITY_S, Bench, pause


class TestDrain:
    def test_what_runs_may_end_and_nothing_new_begins(self) -> None:
        async def story() -> None:
            bench = Bench(slots=1)

            async def work(job: Job) -> None:
                await asyncio.sleep(15)

            bench.work = work
            for _ in range(2):
                await bench.queue.send(a_job())
            await bench.consume(1)
            await bench.consumer.drain(20)
            assert now() == pytest.approx(15.0)
            assert len(bench.runs) == len(bench.queue.deleted) == 1
            kept = [at for at, count, _ in bench.queue.extended if count]
            assert kept
            assert max(pause(kept, since=0.0)) <= VISIBILITY_S / 2

        run(story())

    @pytest.mark.parametrize(("stuck", "seconds"), [(False, 0), (True, 5)])
    def test_what_does_not_end_in_time_is_handed_over(self, stuck: bool, seconds: int) -> None:
        async def story() -> None:
            bench = Bench(slots=3)
            bench.work = bench.wait if stuck else bench.hand_over
            for _ in range(3):
                await bench.queue.send(a_job())
            await bench.consume(1)
            await bench.consumer.drain(20)
            assert now() == pytest.approx(21.0 + seconds)
            assert len(bench.queue.released) == 3
            assert bench.queue.deleted == []
            assert bench.consumer.running == 0
            assert bench.changes[-1] == 0
            assert bench.outcomes() == {"released": 3}
            assert {span.attributes["outcome"] for span in bench.tracing.spans} == {"released"}

        run(story())

    def test_an_idle_worker_is_done_at_once(self) -> None:
        async def story() -> None:
            bench = Bench()
            await bench.consume(1)
            await bench.consumer.drain(20)
            assert now() == pytest.approx(1.0)

        run(story())
