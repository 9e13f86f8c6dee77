"""The consumer around requests that kill workers: quarantine and parking, in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from axon.exceptions import UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.testing.attempts import FakeQuarantinePermits
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from tests.unit.worker.jobs.consumer_harness import ConsumerHarness
from worker.jobs.consumer import Parking
from worker.outcome import AttemptOutcome
from worker.quarantine import Quarantine
from worker.shutdown import Shutdown


def test_consumer_takes_nothing_else_while_one_attempt_runs_alone() -> None:
    async def story() -> None:
        quarantine = Quarantine(
            permits=FakeQuarantinePermits(clock=now), shutdown=Shutdown(), incarnation="w1"
        )
        harness = ConsumerHarness(slots=4, poll_s=20, quarantine=quarantine)
        suspect, peer, *later = [a_job() for _ in range(4)]

        async def work(job: Job) -> None:
            if job.response_id == suspect.response_id:
                await asyncio.sleep(1)
                await quarantine.begin_in_turn(groups_busy=lambda: False)
                alone.append(harness.consumer.running)
                await asyncio.sleep(20)
                alone.append(harness.consumer.running)
                await quarantine.end()
            else:
                await asyncio.sleep(100)

        alone: list[int] = []
        harness.work = work
        await harness.queue.send(suspect)
        await harness.queue.send(peer)
        consuming = asyncio.create_task(harness.consumer.consume())
        await asyncio.sleep(5)
        # The poll that was under way brings a job, and a peer hands one over.
        await harness.queue.send(later[0])
        handed_over = ReceivedJob(
            body=later[1].encode().decode(), receipt_handle="other", receive_count=1
        )
        harness.consumer.accept(replace(handed_over, forwarded=True))
        await asyncio.sleep(15)
        assert alone == [1]
        released = [Job.decode(each.body).response_id for each in harness.queue.released]
        assert sorted(released) == sorted(job.response_id for job in (peer, *later))
        await asyncio.sleep(15)
        assert alone == [1, 1]
        await harness.queue.send(later[0])
        await asyncio.sleep(1)
        assert harness.runs[-1] == later[0].response_id
        consuming.cancel()

    run(story())


@pytest.mark.parametrize("error", [None, UnavailableError("no queue")])
def test_consumer_keeps_the_job_of_a_condemned_request_and_deletes_its_message(
    error: Exception | None,
) -> None:
    async def story() -> None:
        kept: list[ReceivedJob] = []

        class Kept(Parking):
            async def park(self, received: ReceivedJob, *, why: str) -> None:
                kept.append(received)
                if error:
                    raise error

        harness = ConsumerHarness()
        harness.consumer._parking = Kept()
        harness.outcome = AttemptOutcome.CONDEMNED
        await harness.queue.send(a_job())
        await harness.consume(1)
        assert kept == harness.queue.deleted
        assert len(kept) == 1
        assert harness.outcomes() == {"condemned": 1}

    run(story())
