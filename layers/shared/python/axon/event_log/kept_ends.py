"""KeptEnds: appends the ends of responses again when a failover has lost them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from axon.exceptions import AxonError, UnavailableError

logger = logging.getLogger(__name__)

KEPT_S = 10.0
"""Seconds for which an end is kept: longer than a replica lags, even just before a failover. The
time in which Valkey is away does not count."""
LOOK_S = 0.5
"""Seconds between two looks at the log's generation."""
MOST = 2_048
"""Ends that are kept at most, the newest: each one holds its answer's events in memory."""
_AT_ONCE = 16
_REPEATS_S = 10.0
"""Limit of a look's repetitions."""


@dataclass(slots=True)
class _KeptEnd:
    repeat: Callable[[], Awaitable[None]]
    generation: str
    at: float


class KeptEnds:
    """Holds the ends of responses for some seconds after they were appended.

    The job of a response is deleted after its terminal event. If a failover just then loses the
    event, nobody would append it again: its client, if it has not received the end, would wait
    until the deadline fails a response that the database has as completed. So the process that has
    appended it (a worker, a relay that sweeps, a front that cancels) looks whether the log has
    another generation than at the append, and repeats the append then. It changes nothing where the
    log has the event, and is refused where somebody has ended the response meanwhile.

    Parameters
    ----------
    confirm : Callable[[], Awaitable[str]]
        Asks Valkey for a sign of life, and returns the log's generation.
    clock : Callable[[], float]
        Seconds.
    """

    def __init__(
        self,
        *,
        confirm: Callable[[], Awaitable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._confirm = confirm
        self._clock = clock
        self._kept: dict[str, _KeptEnd] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def keep(
        self, response_id: str, repeat: Callable[[], Awaitable[None]], *, generation: str
    ) -> None:
        """Keep an end.

        Parameters
        ----------
        response_id : str
            The response that has ended.
        repeat : Callable[[], Awaitable[None]]
            Appends its terminal event again.
        generation : str
            Generation of the log before the event was appended. One read after it could be that of
            a server which has lost the event already.
        """
        self._kept[response_id] = _KeptEnd(repeat, generation, self._clock())
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    async def run(self) -> None:
        """Look after what is kept, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._kept:
                await self._look_safely()

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except Exception:  # an end that is not repeated must not end the process
            logger.exception("kept ends could not be looked after")

    async def look(self) -> None:
        """Repeat what another generation may have lost, and drop what is safe."""
        try:
            generation = await self._confirm()
        except UnavailableError:
            return  # it may come back as a server that lacks the newest ends: all are kept
        lost = []
        for response_id, kept in list(self._kept.items()):
            if generation and kept.generation != generation:
                lost.append(response_id)
            elif self._clock() - kept.at > KEPT_S:
                del self._kept[response_id]
        await asyncio.gather(*map(partial(self._repeat, generation), lost))

    async def _repeat(self, generation: str, response_id: str) -> None:
        kept = self._kept.get(response_id)
        if kept is None:
            return  # newer ends have taken its place since the look
        try:
            async with asyncio.timeout(_REPEATS_S), self._at_once:
                await kept.repeat()
        except (UnavailableError, TimeoutError):
            return  # the next look tries again
        except AxonError as error:
            # Somebody else has ended the response, or its log must not be made again.
            logger.warning("%s has another end: %s", response_id, error)
            self._kept.pop(response_id, None)
            return
        except Exception:
            # Not retried: it would fail at each look. Raised, it would leave the other repetitions.
            logger.exception("the end of %s cannot be repeated", response_id)
            self._kept.pop(response_id, None)
            return
        kept.generation, kept.at = generation, self._clock()
