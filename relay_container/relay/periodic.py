"""Steps that are done again and again, whatever becomes of one of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from axon.exceptions import UnavailableError

logger = logging.getLogger(__name__)


async def every(
    interval_s: float, step: Callable[[], Awaitable[object]], *, until: asyncio.Event
) -> None:
    """Do the step, pause, and so on; ends between two steps."""
    while not until.is_set():
        try:
            await step()
        except UnavailableError as error:
            logger.warning("%s: %s", step.__qualname__, error)
        except Exception:
            logger.exception("%s failed", step.__qualname__)
        with suppress(TimeoutError):
            await asyncio.wait_for(until.wait(), interval_s)
