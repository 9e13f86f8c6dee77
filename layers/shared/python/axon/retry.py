"""Retries with exponential backoff and jitter."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from axon.clock import now_ms
from axon.exceptions import PermanentRefusalError, UnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

WARN_AFTER = 5
"""Consecutive failures before a warning is logged; a single failure is nothing unusual."""


def backoff(*, first_s: float = 0.05, longest_s: float = 5.0) -> Iterator[float]:
    """Yield pauses without end: each is random below a bound that doubles ("full jitter").

    Parameters
    ----------
    first_s : float
        Upper bound of the first pause, in seconds.
    longest_s : float
        Upper bound that is never exceeded, in seconds.
    """
    bound = first_s
    while True:
        yield random.uniform(0, bound)  # noqa: S311 - spreads load, keeps no secret
        bound = min(longest_s, bound * 2)


async def sleep_unless(event: asyncio.Event, seconds: float) -> None:
    """Sleep, but return as soon as the event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed call is repeated, and until when.

    The first attempt is always made. Calls must be idempotent for the errors that are retried.

    Parameters
    ----------
    errors : tuple[type[Exception], ...]
        Errors after which the call is repeated; every other one is raised at once, and so is a
        `PermanentRefusalError`.
    stop : asyncio.Event | None
        Once it is set, no further attempt is made. When it is set during a pause, the pause ends at
        once and the last error is raised.
    deadline_ms : float
        Milliseconds of the Unix epoch after which no failure is retried.
    within_s : float
        Seconds after the first attempt, by the loop's clock, after which no failure is retried.
    max_attempts : int | None
        Most calls, the first one included; None: no limit.
    first_pause_s, longest_pause_s : float
        Upper bounds of the first pause and of every pause, in seconds; see `backoff`.
    clock_ms : Callable[[], int]
        The clock that the deadline is compared with.
    """

    errors: tuple[type[Exception], ...] = (UnavailableError,)
    stop: asyncio.Event | None = None
    deadline_ms: float = float("inf")
    within_s: float = float("inf")
    max_attempts: int | None = None
    first_pause_s: float = 0.05
    longest_pause_s: float = 5.0
    clock_ms: Callable[[], int] = now_ms

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it succeeds; return its result.

        Raises
        ------
        Exception
            The last of `errors`, once no further attempt may be made, because of `stop` (set during
            a call or a pause), `deadline_ms`, `within_s` or `max_attempts`; any other error at
            once.
        """
        until = asyncio.get_running_loop().time() + self.within_s
        pauses = backoff(first_s=self.first_pause_s, longest_s=self.longest_pause_s)
        failures = 0
        while True:
            try:
                return await call()
            except PermanentRefusalError:  # a repetition would be refused, too
                raise
            except self.errors as error:
                failures, pause_s = failures + 1, next(pauses)
                level = logging.WARNING if failures == WARN_AFTER else logging.DEBUG
                logger.log(level, "failure %d, again in %.3f s: %s", failures, pause_s, error)
                if failures == self.max_attempts or self._stopped() or self._is_late(until):
                    raise
                await self._pause(pause_s)
                if self._stopped():
                    raise

    def _stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def _is_late(self, until: float) -> bool:
        return self.clock_ms() >= self.deadline_ms or asyncio.get_running_loop().time() >= until

    async def _pause(self, seconds: float) -> None:
        if self.stop is None:
            await asyncio.sleep(seconds)
        else:
            await sleep_unless(self.stop, seconds)
