"""An event loop whose clock jumps to the next timer: exact times, and no waiting."""

import asyncio
import selectors
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

STEP_S = 1.0
"""Real seconds after an alarm that a step of the loop, or the cancelling of its tasks, may take."""


class _JumpingSelector(selectors.DefaultSelector):
    now = 0.0
    alarm: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.alarm is not None:
            alarm, self.alarm = self.alarm, None
            alarm()
        if timeout is None:
            raise RuntimeError("everything waits, and no timer is set")
        self.now += max(timeout, 0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def pause(self, seconds: float) -> None:
        self._jumping.now += seconds

    @contextmanager
    def ended_by_alarm(self) -> Iterator[None]:
        """End the loop by what the handler of SIGALRM raises (pytest-timeout's).

        Raised wherever the signal arrives, it would end one task or callback, which asyncio keeps
        to itself, while the others go on for ever: their time costs nothing. So it is raised
        between two steps, or within one that takes longer than `STEP_S`.
        """
        handler, jumping, came = signal.getsignal(signal.SIGALRM), self._jumping, False
        if not callable(handler):
            yield
            return
        raising = handler

        def note(number: int, frame: FrameType | None) -> None:
            nonlocal came
            stuck, came = jumping.alarm is not None, True
            jumping.alarm = lambda: raising(number, frame)
            signal.setitimer(signal.ITIMER_REAL, STEP_S)
            if stuck:
                raising(number, frame)

        signal.signal(signal.SIGALRM, note)
        try:
            yield
        finally:
            if came:
                signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in no time."""
    loop = _VirtualLoop()
    with loop.ended_by_alarm(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(coroutine)


def now() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time()


def pause_process(seconds: float) -> None:
    """Move the clock while nothing runs, as if this process were stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _VirtualLoop)
    loop.pause(seconds)
