import asyncio
from contextlib import suppress

import pytest

from axon.tasks import TaskSet, end, extend, run_until
from tests.support.virtual_time import now, run


@pytest.fixture
def tasks() -> TaskSet:
    return TaskSet(error="the work has failed")


async def test_task_set_drains_also_what_tasks_start(tasks: TaskSet) -> None:
    done: list[int] = []

    async def work(depth: int) -> None:
        await asyncio.sleep(0)
        if depth:
            tasks.start(work(depth - 1))
        done.append(depth)

    tasks.start(work(3))
    await tasks.drain()
    assert done == [3, 2, 1, 0]


async def test_task_set_cancels_all(tasks: TaskSet) -> None:
    started = [tasks.start(_forever()) for _ in range(3)]
    await asyncio.sleep(0)
    await tasks.cancel()
    assert all(task.cancelled() for task in started)


async def test_task_set_logs_errors_and_keeps_the_others(
    tasks: TaskSet, caplog: pytest.LogCaptureFixture
) -> None:
    staying = tasks.start(_forever())
    tasks.start(_fail("a defect"))
    await asyncio.sleep(0.01)
    assert "the work has failed" in caplog.text
    assert "a defect" in caplog.text
    assert not staying.done()
    await tasks.cancel()


async def test_run_until_returns_true_when_a_coroutine_has_ended() -> None:
    cancelled: list[bool] = []
    assert await run_until(asyncio.Event(), asyncio.sleep(0), _noting(cancelled))
    assert cancelled == [True]


async def test_run_until_returns_false_when_it_is_stopped() -> None:
    stop, cancelled = asyncio.Event(), list[bool]()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    assert not await run_until(stop, _noting(cancelled), _noting(cancelled))
    assert cancelled == [True, True]


async def test_run_until_raises_what_a_coroutine_raises() -> None:
    cancelled: list[bool] = []
    with pytest.raises(ValueError, match="a defect"):
        await run_until(asyncio.Event(), _noting(cancelled), _fail("a defect"))
    assert cancelled == [True]


async def test_run_until_raises_an_error_although_it_is_stopped() -> None:
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(ValueError, match="a defect"):
        await run_until(stop, _fail("a defect"))


async def test_run_until_leaves_no_task_when_it_is_cancelled() -> None:
    cancelled: list[bool] = []
    running = asyncio.create_task(run_until(asyncio.Event(), _noting(cancelled)))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled == [True]


async def _forever() -> None:
    await asyncio.Event().wait()


async def _fail(message: str) -> None:
    raise ValueError(message)


async def _noting(cancelled: list[bool]) -> None:
    try:
        await _forever()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        cancelled.append(True)
        raise


def test_end_cancels_again_a_task_whose_cancellation_was_lost() -> None:
    async def retry_after_errors() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                if now() < 5:
                    continue  # a library has made an error of it, and the loop retries
                raise

    async def story() -> None:
        task = asyncio.create_task(retry_after_errors())
        await asyncio.sleep(1)
        await end(task, again_s=5)
        assert task.cancelled()
        assert now() == 6

    run(story())


async def test_end_ignores_the_errors_of_tasks_that_have_failed() -> None:
    failed = asyncio.create_task(_fail("a defect"))
    await asyncio.sleep(0)
    await end(failed, asyncio.create_task(_forever()))
    assert failed.done()


async def test_end_waits_until_cleanup_is_done() -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.01)
            cleaned = True

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await end(task)
    assert cleaned


def test_extend_moves_the_end_of_a_timeout() -> None:
    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1) as timeout:
                await asyncio.sleep(0.9)
                extend(timeout, 5)
                await asyncio.sleep(100)
        assert now() == pytest.approx(5.9)

    run(story())


def test_extend_ends_a_wait_whose_cancellation_was_lost() -> None:
    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1) as timeout:
                # As a client does whose connection breaks in the same step.
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(100)
                extend(timeout, 5)

    run(story())
