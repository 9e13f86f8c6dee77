"""Steps that are done again and again, whatever becomes of one of them."""

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
    """Do the step, pause, and so on; ends between two steps.

    With `sooner`, a pause ends when that is set; whoever sets `until` sets it, too.
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
