"""The watch over silent attempts, in virtual time."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from typing_extensions import override

from axon.event_log.fence import Fence, Fences
from axon.event_log.log import Claim, Status
from axon.exceptions import UnavailableError
from tests.support.virtual_time import now, run
from worker.attempt.fence_watch import FenceNoticedError, FenceWatch, has_ended

INTERVAL_S = 0.2


def claimed_after(epoch: int) -> Callable[[Fence], bool]:
    return lambda fence: fence.refuses(Claim(epoch=epoch, next_sequence=2))


class FencesStub(Fences):
    """Epochs and ends that a test sets; counts the reads."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}
        self.ended: set[str] = set()
        self.reads: list[list[str]] = []
        self.fail_with: Exception | None = None
        self.takes_s = 0.0

    @override
    async def fences(self, response_ids: Sequence[str]) -> Sequence[Fence | None]:
        self.reads.append(sorted(response_ids))
        await asyncio.sleep(self.takes_s)
        if self.fail_with:
            raise self.fail_with
        return [self._fence(each) for each in response_ids]

    def _fence(self, response_id: str) -> Fence | None:
        if response_id not in self.epochs:
            return None
        status = Status.CANCELLED if response_id in self.ended else Status.IN_PROGRESS
        return Fence(status, self.epochs[response_id])


class WatchHarness:
    def __init__(self) -> None:
        self.stub = FencesStub()
        self.watch = FenceWatch(fences=self.stub, interval_s=INTERVAL_S)

    async def hold(self, response_id: str, *, seconds: float = 1000, epoch: int = 1) -> float:
        """Wait under the watch; return when the fence was noticed."""
        try:
            async with self.watch.guard(response_id, fenced=claimed_after(epoch)):
                await asyncio.sleep(seconds)
        except FenceNoticedError:
            return now()
        raise AssertionError("not fenced")


def test_fence_watch_ends_a_silent_attempt_within_one_interval() -> None:
    async def story() -> None:
        harness = WatchHarness()
        harness.stub.epochs = {"a": 1, "b": 1}
        holding = asyncio.create_task(harness.hold("a"))
        other = asyncio.create_task(harness.hold("b"))
        await asyncio.sleep(10.05)
        harness.stub.epochs["a"] = 2
        assert await holding == pytest.approx(10.2)
        assert not other.done()
        other.cancel()

    run(story())


def test_fence_watch_reads_all_silent_attempts_at_once_and_no_others() -> None:
    async def story() -> None:
        harness = WatchHarness()

        async def append() -> None:
            async with harness.watch.guard("busy", fenced=claimed_after(1), heard_at=now):
                await asyncio.sleep(1.1)

        tasks = [asyncio.create_task(harness.hold(name)) for name in "abc"]
        await append()
        assert harness.stub.reads == [["a", "b", "c"]] * 5
        for task in tasks:
            task.cancel()

    run(story())


def test_fence_watch_does_nothing_without_attempts() -> None:
    async def story() -> None:
        harness = WatchHarness()
        async with harness.watch.guard("a", fenced=has_ended):
            await asyncio.sleep(1)
        reads = len(harness.stub.reads)
        await asyncio.sleep(100)
        assert len(harness.stub.reads) == reads
        async with harness.watch.guard("a", fenced=has_ended):
            await asyncio.sleep(1)
        assert len(harness.stub.reads) > reads

    run(story())


@pytest.mark.parametrize("epoch", [None, 0, 1, 2])
def test_fence_watch_leaves_an_attempt_whose_claim_is_the_latest_or_lost(epoch: int | None) -> None:
    async def story() -> None:
        harness = WatchHarness()
        harness.stub.epochs = {} if epoch is None else {"a": epoch}
        harness.stub.ended = {"a"}  # by this very attempt
        with pytest.raises(AssertionError, match="not fenced"):
            await harness.hold("a", seconds=5, epoch=2)

    run(story())


@pytest.mark.parametrize("failure", [UnavailableError("away"), KeyError("a bug")])
def test_fence_watch_goes_on_after_a_failed_read(failure: Exception) -> None:
    async def story() -> None:
        harness = WatchHarness()
        harness.stub.epochs = {"a": 2}
        harness.stub.fail_with = failure
        holding = asyncio.create_task(harness.hold("a"))
        await asyncio.sleep(10.1)
        assert not holding.done()
        harness.stub.fail_with = None
        assert await holding == pytest.approx(10.2)

    run(story())


def test_fence_watch_ends_an_attempt_that_swallows_the_first_cancellation() -> None:
    async def story() -> None:
        harness = WatchHarness()
        harness.stub.epochs = {"a": 2}

        async def stubborn() -> None:
            async with harness.watch.guard("a", fenced=claimed_after(1)):
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    await asyncio.sleep(1000)

        with pytest.raises(FenceNoticedError):
            await stubborn()
        assert 10 <= now() <= 10 + 2 * INTERVAL_S + 1e-6
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(story())


def test_fence_watch_leaves_a_cancellation_by_others_as_it_is() -> None:
    async def story() -> None:
        harness = WatchHarness()
        harness.stub.epochs = {"a": 2}
        harness.stub.takes_s = 0.5
        holding = asyncio.create_task(harness.hold("a"))
        await asyncio.sleep(0.7)  # in the step in which the watch cancels it
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding

    run(story())


def test_fence_watch_leaves_an_attempt_that_ended_during_the_read() -> None:
    async def story() -> None:
        harness = WatchHarness()
        harness.stub.epochs = {"a": 2}
        harness.stub.takes_s = 5.0
        async with harness.watch.guard("a", fenced=claimed_after(1)):
            await asyncio.sleep(1)
        await asyncio.sleep(10)

    run(story())
