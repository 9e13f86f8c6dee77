"""Receiver: long polls of the jobs queue, the last of which is never cut off."""

import asyncio
import logging
from collections.abc import Callable

from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import JobQueue, ReceivedJob
from axon.retry import sleep_unless

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0
_REFUSED_S = 30.0
"""Seconds for which the queue may refuse before the worker stops. Permissions that are changed are
refused for some seconds, until AWS has spread the change."""


class Receiver:
    """Receives jobs while there is room, until it is closed.

    SQS may hand messages to a poll whose connection was just closed. They would be invisible for a
    visibility timeout. So a poll under way is waited for (it takes `LONG_POLL_S`), and what it
    brings is released.

    Parameters
    ----------
    queue : JobQueue
        The jobs queue.
    room : Callable[[], int]
        Returns how many jobs may be received now.
    start : Callable[[ReceivedJob], None]
        Takes each job.
    release : Callable[[ReceivedJob], None]
        Takes each job that is received after `close`.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        room: Callable[[], int],
        start: Callable[[ReceivedJob], None],
        release: Callable[[ReceivedJob], None],
    ) -> None:
        self._queue = queue
        self._room = room
        self._start = start
        self._release = release
        self._closed = asyncio.Event()
        self._changed = asyncio.Event()
        self._refused_at: float | None = None

    def room_changed(self) -> None:
        """Look for room again."""
        self._changed.set()

    def close(self) -> None:
        """Begin no more polls, and start no more jobs."""
        self._closed.set()
        self._changed.set()

    async def run(self) -> None:
        """Receive until closed.

        Raises
        ------
        PermanentRefusalError
            The queue has refused for half a minute: the operator must act.
        """
        while not self._closed.is_set():
            # Cleared before the room is read: a change after that ends the wait at once.
            self._changed.clear()
            if (room := self._room()) > 0:
                await self._receive(room)
            else:
                await self._changed.wait()

    async def _receive(self, limit: int) -> None:
        try:
            messages = await self._queue.receive(limit=limit)
        except UnavailableError as error:
            self._check_refusal(error)
            logger.warning("cannot receive jobs: %s", error)
            await sleep_unless(self._closed, _PAUSE_S)
            return
        self._refused_at = None
        take = self._release if self._closed.is_set() else self._start
        for received in messages:
            take(received)

    def _check_refusal(self, error: UnavailableError) -> None:
        if not isinstance(error, PermanentRefusalError):
            self._refused_at = None
            return
        now = asyncio.get_running_loop().time()
        self._refused_at = now if self._refused_at is None else self._refused_at
        if now - self._refused_at >= _REFUSED_S:
            raise error
