"""Steps that are repeated at intervals, also after one of them fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from axon.exceptions import UnavailableError
from axon.retry import sleep_unless

logger = logging.getLogger(__name__)


async def every(
    interval_s: float,
    step: Callable[[], Awaitable[object]],
    *,
    until: asyncio.Event,
    sooner: asyncio.Event | None = None,
) -> None:
    """Repeat a step, with a pause after each, until an event is set.

    A step is never interrupted, and its errors are logged: the next step is made all the same.

    Parameters
    ----------
    interval_s : float
        Length of a pause in seconds.
    step : Callable[[], Awaitable[object]]
        Awaited again and again; its result is ignored.
    until : asyncio.Event
        Ends the repetition after the current step or pause.
    sooner : asyncio.Event | None
        Ends the current pause each time it is set. Code that sets `until` must set it, too.
    """
    while not until.is_set():
        try:
            await step()
        except UnavailableError as error:
            logger.warning("%s: %s", step.__qualname__, error)
        except Exception:
            logger.exception("%s failed", step.__qualname__)
        await sleep_unless(sooner or until, interval_s)
        if sooner:
            sooner.clear()
