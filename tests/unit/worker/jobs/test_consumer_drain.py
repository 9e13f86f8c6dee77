"""The drain of the consumer, in virtual time."""

import asyncio

import pytest

from axon.jobs import Job
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import VISIBILITY_S, ConsumerHarness, pause


class TestConsumerDrain:
    def test_lets_running_jobs_end_and_begins_none(self) -> None:
        async def story() -> None:
            harness = ConsumerHarness(slots=1)

            async def work(job: Job) -> None:
                await asyncio.sleep(15)

            harness.work = work
            for _ in range(2):
                await harness.queue.send(a_job())
            await harness.consume(1)
            await harness.consumer.drain(20)
            assert now() == pytest.approx(15.0)
            assert len(harness.runs) == len(harness.queue.deleted) == 1
            kept = [at for at, count, _ in harness.queue.extended if count]
            assert kept
            assert max(pause(kept, since=0.0)) <= VISIBILITY_S / 2

        run(story())

    @pytest.mark.parametrize(("stuck", "seconds"), [(False, 0), (True, 5)])
    def test_hands_over_jobs_that_do_not_end_in_time(self, stuck: bool, seconds: int) -> None:
        async def story() -> None:
            harness = ConsumerHarness(slots=3)
            harness.work = harness.wait if stuck else harness.hand_over
            for _ in range(3):
                await harness.queue.send(a_job())
            await harness.consume(1)
            await harness.consumer.drain(20)
            assert now() == pytest.approx(21.0 + seconds)
            assert len(harness.queue.released) == 3
            assert harness.queue.deleted == []
            assert harness.consumer.running == 0
            assert harness.changes[-1] == 0
            assert harness.outcomes() == {"released": 3}
            assert {span.attributes["outcome"] for span in harness.tracing.spans} == {"released"}

        run(story())

    def test_ends_with_the_poll_under_way_if_the_worker_is_idle(self) -> None:
        async def story() -> None:
            harness = ConsumerHarness()
            await harness.consume(0.5)
            await harness.consumer.drain(20)
            assert now() == pytest.approx(1.0)
            assert harness.queue.cut_off == 0

        run(story())

    def test_releases_at_once_what_the_last_poll_brings(self) -> None:
        async def story() -> None:
            harness = ConsumerHarness()
            await harness.consume(0.5)
            draining = asyncio.create_task(harness.consumer.drain(20))
            await asyncio.sleep(0.1)
            await harness.queue.send(a_job())
            await draining
            assert now() == pytest.approx(0.6)
            assert harness.queue.cut_off == 0
            assert len(harness.queue.released) == 1
            assert not harness.queue.in_flight
            assert harness.runs == []

        run(story())

    def test_cuts_off_a_poll_that_does_not_end(self) -> None:
        async def story() -> None:
            harness = ConsumerHarness(poll_s=1000)
            await harness.consume(1)
            await harness.consumer.drain(20)
            assert now() == pytest.approx(6.0)
            assert harness.queue.cut_off == 1

        run(story())
