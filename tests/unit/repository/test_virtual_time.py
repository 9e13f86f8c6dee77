"""A test in virtual time that never ends is ended by its time limit, as pytest-timeout sets it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from tests.support import virtual_time


class AlarmError(BaseException):
    """Stands for what pytest-timeout raises, which is no `Exception` either."""


@pytest.fixture(autouse=True)
def _alarm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def handler(*_: object) -> None:
        raise AlarmError

    monkeypatch.setattr(virtual_time, "STEP_S", 0.02)
    former = signal.signal(signal.SIGALRM, handler)
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0.02)
    yield
    signal.signal(signal.SIGALRM, former)
    signal.setitimer(signal.ITIMER_REAL, left_s)


async def waits() -> None:
    while True:
        await asyncio.sleep(1)


async def waits_for_tasks() -> None:
    """The exception of one task, or of a callback, is nobody else's."""
    loop = asyncio.get_running_loop()

    def call_again() -> None:
        loop.call_later(1, call_again)

    call_again()
    await asyncio.wait([asyncio.create_task(waits()) for _ in range(3)])


async def keeps_everything_to_itself() -> None:
    while True:
        with suppress(BaseException):
            await asyncio.sleep(1)


async def leaves_a_task_that_cannot_be_cancelled() -> None:
    task = asyncio.create_task(keeps_everything_to_itself())
    await asyncio.wait([task])


async def hangs_in_one_step() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    "story",
    [
        waits,
        waits_for_tasks,
        leaves_a_task_that_cannot_be_cancelled,
        hangs_in_one_step,
    ],
)
def test_alarm_ends_a_loop_that_would_never_end(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await story()

    for _ in range(3):
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(AlarmError):
            virtual_time.run(run())


def test_alarm_that_does_not_come_stays_set() -> None:
    signal.setitimer(signal.ITIMER_REAL, 60)
    handler = signal.getsignal(signal.SIGALRM)
    virtual_time.run(asyncio.sleep(1))
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    assert signal.getsignal(signal.SIGALRM) is handler
