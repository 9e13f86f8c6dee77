import asyncio
from collections.abc import Sequence

import pytest

from axon.adapters.aws.batching import Batcher
from tests.support import virtual_time


class Batches:
    """A flush that records its batches, and waits if the test asks it to."""

    def __init__(self) -> None:
        self.flushed: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.flushed.append(list(items))
        await self.open.wait()
        if self.error:
            raise self.error
        return [ValueError(str(item)) if item < 0 else item * 10 for item in items]


async def begun(batches: Batches, count: int) -> None:
    """Wait until `count` batches were begun."""
    async with asyncio.timeout(5):
        while len(batches.flushed) < count:
            await asyncio.sleep(0)


async def test_batching_sends_the_first_item_at_once_and_alone() -> None:
    batches = Batches()
    assert await Batcher(batches).submit(1) == 10
    assert batches.flushed == [[1]]


async def test_batching_joins_items_that_arrive_during_a_flush() -> None:
    batches = Batches()
    batcher = Batcher(batches)
    batches.open.clear()
    first = asyncio.create_task(batcher.submit(1))
    await begun(batches, 1)
    rest = [asyncio.create_task(batcher.submit(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    batches.open.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert batches.flushed == [[1], [2, 3, 4]]


async def test_batch_is_at_most_of_its_size() -> None:
    batches = Batches()
    batcher = Batcher(batches, size=3)
    results = await asyncio.gather(*(batcher.submit(number) for number in range(8)))
    assert results == [number * 10 for number in range(8)]
    assert batches.flushed == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_batch_is_at_most_of_its_weight() -> None:
    batches = Batches()
    batcher = Batcher(batches, weigh=lambda item: item, max_weight=10)
    await asyncio.gather(*(batcher.submit(number) for number in (4, 6, 1, 9, 99, 5)))
    assert batches.flushed == [[4, 6], [1, 9], [99], [5]]


async def test_batch_gives_each_caller_its_own_failure() -> None:
    batcher = Batcher(Batches())
    outcomes = await asyncio.gather(
        *(batcher.submit(number) for number in (1, -2, 3)), return_exceptions=True
    )
    assert outcomes[0] == 10
    assert isinstance(outcomes[1], ValueError)
    assert str(outcomes[1]) == "-2"
    assert outcomes[2] == 30


async def test_batching_fails_only_the_batch_of_a_failed_flush() -> None:
    batches = Batches()
    batcher = Batcher(batches)
    batches.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        await batcher.submit(1)
    batches.error = None
    assert await batcher.submit(2) == 20


async def test_batching_survives_a_cancelled_caller() -> None:
    batches = Batches()
    batcher = Batcher(batches)
    batches.open.clear()
    first = asyncio.create_task(batcher.submit(1))
    await begun(batches, 1)
    gone = asyncio.create_task(batcher.submit(2))
    stays = asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    gone.cancel()
    batches.open.set()
    results = await asyncio.gather(first, stays)
    assert list(results) == [10, 30]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_batching_returns_each_of_a_thousand_callers_its_own_result() -> None:
    batches = Batches()
    batcher = Batcher(batches, size=7)

    async def call(number: int) -> int:
        await asyncio.sleep(0)
        return await batcher.submit(number)

    results = await asyncio.gather(*(call(number) for number in range(1000)))
    assert results == [number * 10 for number in range(1000)]
    assert sum(map(len, batches.flushed)) == 1000


async def test_batching_sends_nothing_that_nobody_waits_for_if_it_is_told_to() -> None:
    batches = Batches()
    batches.open.clear()
    batcher = Batcher(batches, drop_cancelled=True)
    tasks = [asyncio.create_task(batcher.submit(0))]
    await begun(batches, 1)
    tasks += [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    batches.open.set()
    assert [await tasks[0], await tasks[2]] == [0, 20]
    assert batches.flushed == [[0], [2]]


async def test_batching_begins_another_batch_only_while_a_full_one_waits() -> None:
    batches = Batches()
    batches.open.clear()
    batcher = Batcher(batches, size=3, parallel=2)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in range(8)]
    await begun(batches, 2)
    await asyncio.sleep(0)
    assert batches.flushed == [[0, 1, 2], [3, 4, 5]]
    batches.open.set()
    assert await asyncio.gather(*tasks) == [item * 10 for item in range(8)]
    assert batches.flushed[2:] == [[6, 7]]
    assert await batcher.submit(8) == 80


def test_batching_lets_no_item_wait_longer_than_it_may_for_a_batch_that_hangs() -> None:
    async def story() -> None:
        batches = Batches()
        batches.open.clear()
        batcher = Batcher(batches, size=3, longest_wait_s=0.004)
        tasks = [asyncio.create_task(batcher.submit(0))]
        await asyncio.sleep(0.001)
        assert batches.flushed == [[0]]  # the first never waits
        for pause_s in (0.003, 0.002, 0.001):
            tasks.append(asyncio.create_task(batcher.submit(len(tasks))))
            await asyncio.sleep(pause_s)
        assert batches.flushed == [[0], [1, 2]]  # 4 ms after the first of them
        await asyncio.sleep(0.01)
        assert batches.flushed == [[0], [1, 2], [3]]
        batches.open.set()
        assert await asyncio.gather(*tasks) == [0, 10, 20, 30]
        assert await batcher.submit(4) == 40

    virtual_time.run(story())


def test_batching_lets_none_of_many_items_wait_for_a_batch_that_hangs() -> None:
    async def story() -> None:
        batches = Batches()
        batches.open.clear()
        batcher = Batcher(batches, size=3, longest_wait_s=0.004)
        tasks = [asyncio.create_task(batcher.submit(item)) for item in range(11)]
        await asyncio.sleep(0.005)
        assert batches.flushed == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10]]
        batches.open.set()
        assert await asyncio.gather(*tasks) == [item * 10 for item in range(11)]

    virtual_time.run(story())


def test_batching_that_no_longer_waits_for_a_batch_sends_nothing_that_was_given_up() -> None:
    async def story() -> None:
        batches = Batches()
        batches.open.clear()
        batcher = Batcher(batches, longest_wait_s=0.004, drop_cancelled=True)
        first = asyncio.create_task(batcher.submit(0))
        await begun(batches, 1)
        gone, stays = (asyncio.create_task(batcher.submit(item)) for item in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0.01)
        assert batches.flushed == [[0], [2]]
        batches.open.set()
        assert [await first, await stays] == [0, 20]

    virtual_time.run(story())
