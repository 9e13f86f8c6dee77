"""FenceWatch: ends attempts that wait although others have claimed or ended their responses."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from typing_extensions import override

from axon.event_log.fence import Fence, Fences
from axon.exceptions import FencedError, UnavailableError

logger = logging.getLogger(__name__)

_AGAIN_S = 10.0
"""Seconds after which a task that has not ended is cancelled again: longer than an attempt needs to
close its engine's stream."""
_NEVER = float("-inf")


class FenceNoticedError(FencedError):
    """The watch has found the response of a silent attempt fenced."""


def has_ended(fence: Fence) -> bool:
    """Return whether the response has ended, for a job that is not claimed yet."""
    return fence.status.terminal


@dataclass(eq=False, slots=True, kw_only=True)
class _Guard:
    response_id: str
    task: asyncio.Task[Any]
    fenced: Callable[[Fence], bool]
    heard_at: Callable[[], float]
    cancelled_at: float = _NEVER
    cancellations: int = 0

    def cancel(self, now: float) -> None:
        # Repeated: libraries can turn a cancellation into an error of their own, after which a
        # retry loop continues.
        if now - self.cancelled_at >= _AGAIN_S:
            self.cancelled_at = now
            self.cancellations += 1
            self.task.cancel()

    def withdraw(self) -> bool:
        """Take the watch's own cancellations back; return whether there were any."""
        for _ in range(self.cancellations):
            self.task.uncancel()
        return self.cancellations > 0


class _Guarded(AbstractAsyncContextManager[None]):
    """The context in which a guard may cancel its task."""

    __slots__ = ("_begin", "_end", "_guard", "_others")

    def __init__(
        self, guard: _Guard, begin: Callable[[_Guard], None], end: Callable[[_Guard], None]
    ) -> None:
        self._guard = guard
        self._begin = begin
        self._end = end
        self._others = 0

    @override
    async def __aenter__(self) -> None:
        self._begin(self._guard)
        self._others = self._guard.task.cancelling()

    @override
    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        guard = self._guard
        self._end(guard)
        withdrawn = guard.withdraw()
        # Somebody else may have cancelled the task in the same step: that goes first.
        cancelled = withdrawn and isinstance(error, asyncio.CancelledError)
        if cancelled and guard.task.cancelling() <= self._others:
            raise FenceNoticedError(f"{guard.response_id} was fenced") from None


class FenceWatch:
    """Reads the fences of attempts that are silent, once an interval, and cancels fenced ones.

    The reply to an append says whether the response is still the attempt's. An attempt that waits,
    for a stage, for its turns, for the first token, gets no reply, and would hold the engine's slot
    for a client that has gone. All silent attempts are read in one write to Valkey; those that have
    appended within the interval are left out, so a stream of tokens costs nothing here.

    While Valkey is away nothing is known, and nothing is cancelled.

    Parameters
    ----------
    fences : Fences
        Where the fences are read.
    interval_s : float
        Seconds between two reads: the longest interval between two flushes.
    """

    def __init__(self, *, fences: Fences, interval_s: float) -> None:
        self._fences = fences
        self._interval_s = interval_s
        self._guards: set[_Guard] = set()
        self._watching: asyncio.Task[None] | None = None

    def guard(
        self,
        response_id: str,
        *,
        fenced: Callable[[Fence], bool],
        heard_at: Callable[[], float] = lambda: _NEVER,
    ) -> AbstractAsyncContextManager[None]:
        """Cancel what this task runs inside the context once the response is fenced.

        Parameters
        ----------
        response_id : str
            The response.
        fenced : Callable[[Fence], bool]
            Returns whether a fence ends the caller (`Fence.refuses`, `has_ended`).
        heard_at : Callable[[], float]
            Returns when the caller last learned that it is not fenced, by the loop's clock in
            seconds.

        Raises
        ------
        FenceNoticedError
            The context was cancelled for its fence.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        guard = _Guard(response_id=response_id, task=task, fenced=fenced, heard_at=heard_at)
        return _Guarded(guard, self._begin, self._guards.discard)

    def _begin(self, guard: _Guard) -> None:
        self._guards.add(guard)
        self._watch()

    def _watch(self) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Read until no attempt is left, so that an idle worker does nothing."""
        try:
            while self._guards:
                await asyncio.sleep(self._interval_s)
                if silent := self._silent():
                    await self._check(silent)
        finally:
            # Nothing is awaited since the last look, so no attempt has begun in between.
            self._watching = None

    def _silent(self) -> list[_Guard]:
        # A little longer than the interval: an attempt that appends at this very pace is not read.
        since = asyncio.get_running_loop().time() - 1.25 * self._interval_s
        return [guard for guard in self._guards if guard.heard_at() <= since]

    async def _check(self, silent: Iterable[_Guard]) -> None:
        guards = list(silent)
        try:
            fences = await self._fences.fences([guard.response_id for guard in guards])
        except UnavailableError as error:
            logger.debug("cannot read fences: %s", error)
            return
        except Exception:  # a bug here must not end the watch
            logger.exception("cannot read fences")
            return
        now = asyncio.get_running_loop().time()
        for guard, fence in zip(guards, fences, strict=True):
            # It may have ended during the read.
            if fence is not None and guard in self._guards and guard.fenced(fence):
                guard.cancel(now)
