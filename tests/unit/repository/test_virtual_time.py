"""A test in virtual time that never ends is ended by its time limit, as pytest-timeout sets it."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from tests.support import virtual_time


class AlarmError(BaseException):
    """Stands for what pytest-timeout raises, which is no `Exception` either."""


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    def handler(*_: object) -> None:
        raise AlarmError

    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    former = signal.signal(signal.SIGALRM, handler)
    yield
    signal.signal(signal.SIGALRM, former)
    signal.setitimer(signal.ITIMER_REAL, left_s)


async def waits(*, alarm: bool) -> None:
    while True:
        await asyncio.sleep(1)
        if alarm:
            alarm = False
            signal.raise_signal(signal.SIGALRM)


def test_alarm_in_one_of_many_tasks_ends_a_loop_that_would_never_end() -> None:
    async def story() -> None:
        await asyncio.wait([asyncio.create_task(waits(alarm=n == 1)) for n in range(3)])

    with pytest.raises(AlarmError):
        virtual_time.run(story())


def test_alarm_that_does_not_come_leaves_its_handler() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    virtual_time.run(asyncio.sleep(1))
    assert signal.getsignal(signal.SIGALRM) is handler
