"""VisibilityExtender in virtual time."""

import asyncio
from collections.abc import Sequence

from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import JobQueue, NotExtended, ReceivedJob
from tests.support.virtual_time import run
from worker.jobs.visibility import VisibilityExtender

TIMEOUT_S = 30
A_JOB = ReceivedJob(body="", receipt_handle="a", receive_count=1)


class Queue(JobQueue):
    """Takes `takes_s` for each extension; those numbered in `refused` fail at the end."""

    def __init__(self, *, takes_s: float = 0.0, refused: Sequence[int] = ()) -> None:
        self.calls: list[tuple[int, int]] = []
        self.lost: dict[ReceivedJob, UnavailableError] = {}
        self._takes_s = takes_s
        self._refused = refused

    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        raise NotImplementedError

    async def delete(self, received: ReceivedJob) -> None:
        raise NotImplementedError

    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        self.calls.append((len(messages), timeout_s))
        number = len(self.calls)
        await asyncio.sleep(self._takes_s)
        if number in self._refused:
            raise UnavailableError("away")
        return [NotExtended(each, self.lost[each]) for each in messages if each in self.lost]


async def held(queue: Queue, *, seconds: float) -> VisibilityExtender:
    """Track a job for a number of seconds."""
    extender = VisibilityExtender(queue=queue, visibility_timeout_s=TIMEOUT_S)
    extender.track(A_JOB)
    extending = asyncio.create_task(extender.run())
    await asyncio.sleep(seconds)
    extending.cancel()
    return extender


def test_extender_does_not_extend_a_forgotten_message() -> None:
    async def story() -> None:
        queue = Queue()
        extender = await held(queue, seconds=11)
        extender.forget(A_JOB)
        extending = asyncio.create_task(extender.run())
        await asyncio.sleep(11)
        extending.cancel()
        assert queue.calls == [(1, TIMEOUT_S), (0, TIMEOUT_S)]

    run(story())


def test_extender_extends_gathered_messages_at_once_and_together() -> None:
    async def story() -> None:
        queue = Queue(takes_s=5)
        extender = VisibilityExtender(queue=queue, visibility_timeout_s=TIMEOUT_S)
        messages = [
            ReceivedJob(body="", receipt_handle=str(number), receive_count=1) for number in range(5)
        ]
        for received in messages:
            extender.track(received)
        calls = [asyncio.create_task(extender.extend_now(received)) for received in messages]
        await asyncio.sleep(1)
        extender.forget(messages[1])
        await asyncio.gather(*calls)
        assert queue.calls == [(1, TIMEOUT_S), (3, TIMEOUT_S)]

    run(story())


def test_extender_does_not_extend_a_released_message() -> None:
    async def story() -> None:
        queue = Queue()
        extender = VisibilityExtender(queue=queue, visibility_timeout_s=TIMEOUT_S)
        extender.track(A_JOB)
        releasing = asyncio.create_task(extender.release(A_JOB))
        await asyncio.sleep(0)
        await extender.extend_now(A_JOB)
        await releasing
        assert queue.calls == [(1, 0)]

    run(story())


def test_extender_releases_after_an_extension_in_progress() -> None:
    async def story() -> None:
        queue = Queue(takes_s=5)
        extender = VisibilityExtender(queue=queue, visibility_timeout_s=TIMEOUT_S)
        extender.track(A_JOB)
        extending = asyncio.create_task(extender.run())
        await asyncio.sleep(12)
        releasing = asyncio.create_task(extender.release(A_JOB))
        await asyncio.sleep(2)
        assert queue.calls == [(1, TIMEOUT_S)]
        await releasing
        assert queue.calls == [(1, TIMEOUT_S), (1, 0)]
        await asyncio.sleep(10)
        assert queue.calls[2:] == [(0, TIMEOUT_S)]
        extending.cancel()

    run(story())


def test_extender_leaves_a_failed_release_to_the_timeout() -> None:
    async def story() -> None:
        queue = Queue(refused=[1])
        extender = VisibilityExtender(queue=queue, visibility_timeout_s=TIMEOUT_S)
        extender.track(A_JOB)
        await extender.release(A_JOB)
        extending = asyncio.create_task(extender.run())
        await asyncio.sleep(11)
        extending.cancel()
        assert queue.calls[-1] == (0, TIMEOUT_S)

    run(story())


def test_extender_gives_up_a_message_whose_receipt_is_not_valid_any_more() -> None:
    async def story() -> None:
        queue = Queue()
        other = ReceivedJob(body="", receipt_handle="b", receive_count=1)
        extender = VisibilityExtender(queue=queue, visibility_timeout_s=TIMEOUT_S)
        for received in (A_JOB, other):
            extender.track(received)
        queue.lost = {A_JOB: PermanentRefusalError("expired"), other: UnavailableError("slow down")}
        extending = asyncio.create_task(extender.run())
        await asyncio.sleep(21)
        extending.cancel()
        assert queue.calls == [(2, TIMEOUT_S), (1, TIMEOUT_S)]
        assert not extender.tracks(A_JOB)
        assert extender.tracks(other)

    run(story())


def test_extender_keeps_its_interval_while_the_queue_hangs() -> None:
    async def story() -> None:
        queue = Queue(takes_s=1000)
        extender = await held(queue, seconds=41)
        assert queue.calls == [(1, TIMEOUT_S)] * 4
        assert extender.tracks(A_JOB)

    run(story())
