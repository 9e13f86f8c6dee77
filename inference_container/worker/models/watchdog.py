"""EngineWatchdog: notices an engine that hangs, and has its worker replaced."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from worker.engines.protocol import EngineDeadError

logger = logging.getLogger(__name__)

_INTERVAL_S = 1.0
_LONGEST_PAUSE_S = 5.0
"""Seconds between two looks above which this process was stopped itself, and took no token."""


class WatchedEngines(Protocol):
    """The engines of a worker (`worker.models.host.ModelHost`)."""

    def hangs(self) -> Sequence[str]:
        """Return, for each engine that hangs, what it does not do."""
        ...

    def excuse_silence(self) -> None:
        """Count from now on how long engines have given no token."""
        ...


class EngineWatchdog:
    """Declares the engine dead when it hangs: the worker hands its jobs over, and its process ends.

    An engine that hangs looks healthy: its process lives, and answers. Only that no token comes
    tells. Its memory may be freed by its process's end alone, so it is not restarted in place.

    Parameters
    ----------
    engines : WatchedEngines
        The engines to watch.
    stop : Callable[[EngineDeadError], None]
        Ends the worker's work as for an engine that has died; called once.
    """

    def __init__(self, *, engines: WatchedEngines, stop: Callable[[EngineDeadError], None]) -> None:
        self._engines = engines
        self._stop = stop
        self._stopped = False

    async def run(self) -> None:
        """Watch until cancelled."""
        looked_at = _now()
        while True:
            if _now() - looked_at > _LONGEST_PAUSE_S:
                self._engines.excuse_silence()
            looked_at = _now()
            if hangs := self._engines.hangs():
                self.report(hangs[0])
            await asyncio.sleep(_INTERVAL_S)

    def report(self, reason: str) -> None:
        """Declare the engine dead for a reason that somebody else has noticed."""
        if not self._stopped:
            self._stopped = True
            logger.critical("the engine hangs: %s", reason)
            self._stop(EngineDeadError(reason))


def _now() -> float:
    return asyncio.get_running_loop().time()
