"""Refusals of data that cannot be read: a line in the log, and a count."""

import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter

from axon.formats import Format, UnreadableError

logger = logging.getLogger(__name__)

_AGAIN_S = 60.0
"""Seconds until the same kind of refusal is logged again: a newer peer's registration, for example,
is read every two seconds for as long as both versions run."""


class Refusals:
    """Counts each refusal, and logs the first of each kind within a minute.

    Parameters
    ----------
    registry : CollectorRegistry
        Gets the counter, with a series for each format from the start: an alert on its rate must
        see the first increase.
    clock : Callable[[], float]
        Seconds.
    """

    def __init__(
        self, *, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        counter = Counter(
            "axon_unreadable",
            "Data of other versions that this process could not read and has set aside.",
            ["format"],
            registry=registry,
        )
        self._counts = {each: counter.labels(each.value) for each in Format}
        self._clock = clock
        self._logged_at: dict[tuple[Format, bool], float] = {}

    def __call__(self, error: UnreadableError) -> None:
        """Count a refusal; log it unless one of its kind was logged lately."""
        self._counts[error.format].inc()
        kind, now = (error.format, error.newer), self._clock()
        if now - self._logged_at.get(kind, -_AGAIN_S) >= _AGAIN_S:
            self._logged_at[kind] = now
            logger.error("set aside, %s", error)
