"""Patience with services that are away: a job stays where it is until they are back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from axon.clock import now_ms
from axon.exceptions import UnavailableError
from axon.retry import pauses, rest

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

_REMARKABLE = 5
"""The failure in a row that is worth a warning; a single one is nothing unusual."""


class Patience:
    """Repeats what a service that is away has failed; all of it may be repeated without harm.

    Parameters
    ----------
    exhausted : asyncio.Event
        Set once waiting is over.
    until_ms, clock_ms
        When it is over in any case.
    """

    def __init__(
        self,
        *,
        exhausted: asyncio.Event,
        until_ms: float = float("inf"),
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._exhausted = exhausted
        self._until_ms = until_ms
        self._clock_ms = clock_ms

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it is answered.

        Raises
        ------
        UnavailableError
            It was not, as long as there was patience.
        """
        failures = 0
        for pause_s in pauses():
            try:
                return await call()
            except UnavailableError as error:
                failures += 1
                level = logging.WARNING if failures == _REMARKABLE else logging.DEBUG
                LOGGER.log(level, "failure %d, again in %.3f s: %s", failures, pause_s, error)
                if self._is_over():
                    raise
            await rest(pause_s, until=self._exhausted)
        raise AssertionError  # the pauses never end

    def _is_over(self) -> bool:
        return self._exhausted.is_set() or self._clock_ms() >= self._until_ms
