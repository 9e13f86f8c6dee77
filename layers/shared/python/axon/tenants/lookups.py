"""Look-ups in a store that may be away, for callers that can do without the answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from axon.exceptions import UnavailableError

ANSWER_S = 1.0
"""Seconds for the store's answer; a healthy one takes some milliseconds."""
AWAY_S = 4.0
"""Seconds without look-ups after one that failed: a store that is away delays one call, not all."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BriefLookups:
    """Makes look-ups that end within `ANSWER_S`, and none for `AWAY_S` after one that failed."""

    def __init__(self) -> None:
        self._away_until = float("-inf")

    async def run(self, look_up: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a look-up.

        Raises
        ------
        UnavailableError
            The store is away, or was a moment ago.
        """
        now = asyncio.get_running_loop().time()
        if now < self._away_until:
            raise UnavailableError("the store of keys was away a moment ago")
        try:
            async with asyncio.timeout(ANSWER_S):
                return await look_up()
        except (UnavailableError, TimeoutError) as error:
            self._away_until = now + AWAY_S
            logger.warning("keys cannot be looked up: %r", error)
            raise UnavailableError(f"the store of keys: {error!r}") from error


class SharedLookups(Generic[T]):
    """Makes a look-up once for all that ask for it while it is under way."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    async def run(self, name: str, look_up: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of a look-up, perhaps of one that another caller has begun.

        Parameters
        ----------
        name : str
            The same for look-ups with the same result.
        look_up : Callable[[], Coroutine[Any, Any, T]]
            Looks up. It continues if its first caller is cancelled, so it must end by itself.
        """
        if (task := self._running.get(name)) is None:
            task = self._running[name] = asyncio.create_task(look_up())
            task.add_done_callback(lambda done: self._finish(name, done))
        return await asyncio.shield(task)

    def _finish(self, name: str, task: asyncio.Task[T]) -> None:
        del self._running[name]
        if not task.cancelled():
            task.exception()  # its callers may all have left
