"""Announces the models that this worker serves."""

import asyncio
import logging

from axon.exceptions import UnavailableError
from axon.models import ModelDirectory

LOGGER = logging.getLogger(__name__)

_LONGEST_INTERVAL_S = 5.0
_RETRY_S = 1.0


async def announce(
    directory: ModelDirectory,
    model_ids: tuple[str, ...],
    *,
    retention_s: float,
    announced: asyncio.Event,
) -> None:
    """Announce until cancelled, often enough that the models stay known.

    `announced` is set with the first success: before, nobody could ask for a model.
    """
    interval_s = min(retention_s / 3, _LONGEST_INTERVAL_S)
    while True:
        try:
            await directory.announce(model_ids, retention_s=retention_s)
            announced.set()
            await asyncio.sleep(interval_s)
        except UnavailableError as error:
            LOGGER.warning("cannot announce models: %s", error)
            await asyncio.sleep(_RETRY_S)
