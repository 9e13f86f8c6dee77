"""The receiver and a queue that refuses, in virtual time."""

import asyncio

import pytest

from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import ReceivedJob
from axon.testing.stores import FakeJobQueue
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import a_job
from worker.jobs.receiver import Receiver


def receiver_of(queue: FakeJobQueue, started: list[ReceivedJob]) -> Receiver:
    return Receiver(queue=queue, room=lambda: 1, start=started.append, release=lambda _: None)


def test_receiver_gives_up_a_queue_that_refuses_for_half_a_minute() -> None:
    async def story() -> None:
        queue = FakeJobQueue()
        queue.fail_with = PermanentRefusalError("AccessDenied")
        with pytest.raises(PermanentRefusalError, match="AccessDenied"):
            await receiver_of(queue, []).run()
        assert now() == pytest.approx(30.0)

    run(story())


@pytest.mark.parametrize("after", [None, UnavailableError("away")])
def test_receiver_goes_on_after_refusals_that_pass(after: Exception | None) -> None:
    async def story() -> None:
        queue = FakeJobQueue()
        started: list[ReceivedJob] = []
        receiving = asyncio.create_task(receiver_of(queue, started).run())
        for _ in range(3):
            queue.fail_with = PermanentRefusalError("AccessDenied")
            await asyncio.sleep(25)
            queue.fail_with = after
            await asyncio.sleep(3)
        queue.fail_with = None
        await queue.send(a_job())
        await asyncio.sleep(3)
        assert len(started) == 1
        receiving.cancel()

    run(story())
