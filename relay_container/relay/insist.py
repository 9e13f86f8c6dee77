"""Repeating calls until they are answered, with pauses that grow and are random."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from axon.exceptions import UnavailableError
from axon.management_api import PostThrottledError
from axon.retry import pauses, rest

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Errors after which a call surely had no effect, or has none when it is repeated.
HARMLESS: tuple[type[Exception], ...] = (PostThrottledError, UnavailableError)

REMARKABLE = 5
"""The attempt whose failure is worth a warning; a single failure is nothing unusual."""


async def insist(
    call: Callable[[], Awaitable[T]],
    *,
    harmless: tuple[type[Exception], ...] = HARMLESS,
    until: asyncio.Event | None = None,
) -> T:
    """Repeat a call as long as it raises one of the `harmless` errors and `until` is not set."""
    waits, attempt = pauses(), 1
    while True:
        try:
            return await call()
        except harmless as error:
            pause = next(waits)
            level = logging.WARNING if attempt == REMARKABLE else logging.DEBUG
            logger.log(level, "attempt %d, again in %.3f s: %s", attempt, pause, error)
            await _pause(pause, until)
            if until is not None and until.is_set():
                raise
            attempt += 1


async def _pause(seconds: float, until: asyncio.Event | None) -> None:
    if until is None:
        await asyncio.sleep(seconds)
    else:
        await rest(seconds, until=until)
