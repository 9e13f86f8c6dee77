"""Repeating calls until they are answered, with pauses that grow and are random."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from axon.connections import PostThrottledError
from axon.exceptions import UnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Errors after which a call surely had no effect, or has none when it is repeated.
HARMLESS: tuple[type[Exception], ...] = (PostThrottledError, UnavailableError)

REMARKABLE = 5
"""The attempt whose failure is worth a warning; a single failure is nothing unusual."""


def backoff(*, first_s: float = 0.05, most_s: float = 5.0) -> Iterator[float]:
    """Yield pauses in seconds, without end: each is random below a bound that doubles."""
    bound = first_s
    while True:
        yield random.uniform(0, bound)  # noqa: S311 - spreads load, keeps no secret
        bound = min(most_s, bound * 2)


async def insist(
    call: Callable[[], Awaitable[T]], *, harmless: tuple[type[Exception], ...] = HARMLESS
) -> T:
    """Repeat a call as long as it raises one of the `harmless` errors."""
    pauses, attempt = backoff(), 1
    while True:
        try:
            return await call()
        except harmless as error:
            pause = next(pauses)
            level = logging.WARNING if attempt == REMARKABLE else logging.DEBUG
            logger.log(level, "attempt %d, again in %.3f s: %s", attempt, pause, error)
            await asyncio.sleep(pause)
            attempt += 1
